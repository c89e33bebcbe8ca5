#include "hadal/kernels/cpu/few_rows.h"

#include <array>
#include <utility>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/scratch.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/few_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/scaled_input-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

// Rows of x whose sums are held in registers at once, beside 4 weight rows (nt) or 4 vectors (nn).
constexpr int kMaxRows = HWY_MAX_BYTES >= 64 ? 6 : 3;

// Up to so many rows of x, reading the weight costs more than multiplying.
constexpr int kMaxStreamRows = 4;
// The same with sums in L1 (nn). Not for E4M3, whose columns come in blocks of 128 with scales of their own.
constexpr int kMaxStreamRowsNn = 2;

// Even lanes of D: the sum of two neighbours of a; odd lanes: that of b.
template <class D>
HWY_INLINE V fold(D d, V a, V b) {
  const auto x = hn::BitCast(d, a), y = hn::BitCast(d, b);
  const Floats f;
  const auto kept = hn::OddEven(y, x), moved = hn::Reverse2(d, hn::OddEven(x, y));
  return hn::Add(hn::BitCast(f, kept), hn::BitCast(f, moved));
}

// Lane j is the sum of all lanes of the j-th argument: within 128 bits (0 + 2) + (1 + 3), then the
// halves. One shuffle a fold: with interleaving there are two, and at short depth these sums cost
// as much as the products.
HWY_INLINE hn::Vec<FourFloats> sums_of_four(V a, V b, V c, V e) {
  const Floats d;
  const hn::RepartitionToWide<Floats> d64;
  const V sum = fold(d, fold(d64, a, c), fold(d64, b, e));
#if HWY_MAX_BYTES >= 64
  const hn::Half<Floats> d8;
  const auto half = hn::Add(hn::LowerHalf(d8, sum), hn::UpperHalf(d8, sum));
  return hn::Add(hn::LowerHalf(FourFloats(), half), hn::UpperHalf(FourFloats(), half));
#elif HWY_MAX_BYTES >= 32
  return hn::Add(hn::LowerHalf(FourFloats(), sum), hn::UpperHalf(FourFloats(), sum));
#else
  return sum;
#endif
}

// Four weight rows side by side are asked for ahead of their use, in the order in which they lie in
// memory: the processor's own prefetchers lose several rows that are read together (Zen 4, bytes of
// E4M3: 7 GB/s without asking, 20 with). A distance of 8 KB hides DRAM for two bytes a weight; codes are
// worked through more slowly and stay in L1 better at 4 KB.
template <class Row>
constexpr int64_t kAheadBytes = std::is_same_v<Row, Fp8CodeRow> ? 4096 : 8192;

struct Ahead {
  const char* next;
  int64_t bytes_per_step;

  HWY_INLINE void step() {
    for (int64_t byte = 0; byte < bytes_per_step; byte += 64) __builtin_prefetch(next + byte, 0, 3);
    next += bytes_per_step;
  }
};

// What a cut's sums of products with such a row are multiplied by.
template <class Row>
constexpr float kCutFactor = std::is_same_v<Row, Fp8CodeRow> ? kSumFactor : 1.0F;

// y[kRows, 4] (+)= x[kRows, depth] w[4, depth]^T, w from column k on; only the first n_valid
// columns of y exist. The operands of a step and its sums fill the registers exactly: a row of x
// each, one of w.
template <int kRows, class Row>
void dot_tile(float* HWY_RESTRICT y, int64_t ldy, const float* HWY_RESTRICT x, int64_t ldx,
              const std::array<Row, 4>& w, int64_t k, int64_t depth, int64_t n_valid,
              bool accumulate, Ahead ahead) {
  const Floats d;
  V sum[kRows][4];
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = hn::Zero(d);
  const auto step = [&](const auto& load_x, const auto& load_w) HWY_ATTR {
    V xr[kRows];
    HWY_UNROLL(6)
    for (int r = 0; r < kRows; ++r) xr[r] = load_x(r);
    HWY_UNROLL(4)
    for (size_t n = 0; n < 4; ++n) {
      const V v = load_w(w[n]);
      HWY_UNROLL(6)
      for (int r = 0; r < kRows; ++r) sum[r][n] = hn::MulAdd(v, xr[r], sum[r][n]);
    }
  };
  int64_t i = 0;
  for (; i + kLanes <= depth; i += kLanes) {
    ahead.step();
    step([&](int r) HWY_ATTR { return hn::LoadU(d, x + r * ldx + i); },
         [&](const Row& row) HWY_ATTR { return row.load(d, k + i); });
  }
  if (i < depth) {
    step([&](int r) HWY_ATTR { return load_first(d, PlainRow<float>{x + r * ldx}, i, depth - i); },
         [&](const Row& row) HWY_ATTR { return load_first(d, row, k + i, depth - i); });
  }
  const FourFloats d4;
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) {
    auto totals = sums_of_four(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    if constexpr (kCutFactor<Row> != 1.0F) totals = hn::Mul(totals, hn::Set(d4, kCutFactor<Row>));
    float* out = y + r * ldy;
    if (n_valid == 4) {
      if (accumulate) totals = hn::Add(totals, hn::LoadU(d4, out));
      hn::StoreU(totals, d4, out);
      continue;
    }
    HWY_ALIGN float total[4];
    hn::Store(totals, d4, total);
    for (int64_t n = 0; n < n_valid; ++n) out[n] = total[n] + (accumulate ? out[n] : 0.0F);
  }
}

// y[kRows, N] (+)= x[kRows, K] w[N, K]^T with the weight read from end to end, a row after the other,
// which memory likes best: 22 GB/s on one thread of Zen 4 where four rows side by side give 17, and the
// processor overlaps the chains of neighbouring rows by itself. The lanes' sums of every cut wait in
// `partial` [cuts][kRows][4] until four rows can be folded together.
template <int kRows, class Rows>
void dot_stream(View<float, 2> y, View<const float, 2> x, const Rows& rows, int64_t n_rows,
                int64_t n_cols, bool accumulate, float* HWY_RESTRICT partial) {
  const Floats d;
  const FourFloats d4;
  const int64_t n_cuts = std::max<int64_t>(1, ceil_div(n_cols, kDepthNt));
  const auto slot = [&](int64_t cut, int r, int64_t j)
                        HWY_ATTR { return partial + ((cut * kRows + r) * 4 + j) * kLanes; };
  for (int64_t n = 0; n < n_rows; n += 4) {
    const int64_t n_valid = std::min<int64_t>(4, n_rows - n);
    for (int64_t j = 0; j < n_valid; ++j) {
      const auto row = rows.row(n + j);
      for (int64_t cut = 0; cut < n_cuts; ++cut) {
        const int64_t end = std::min(n_cols, (cut + 1) * kDepthNt);
        V sum[kRows];
        HWY_UNROLL(8)
        for (int r = 0; r < kRows; ++r) sum[r] = hn::Zero(d);
        int64_t k = cut * kDepthNt;
        const auto step = [&]() HWY_ATTR {
          const V v = row.load(d, k);
          HWY_UNROLL(8)
          for (int r = 0; r < kRows; ++r) {
            sum[r] = hn::MulAdd(v, hn::LoadU(d, x.data() + r * x.stride(0) + k), sum[r]);
          }
          k += kLanes;
        };
        // Where a step is 16 bytes, chains and not memory set the pace: four steps without a loop let the
        // processor see further into the next row (41 tok/s for 34). Where it is 32, seeing that
        // far makes two streams of one, which the prefetchers lose (42 for 53).
        if constexpr (kLanes < 16) {
          while (k + 4 * kLanes <= end) step(), step(), step(), step();
        }
        while (k + kLanes <= end) step();
        if (k < end) {
          const V v = load_first(d, row, k, end - k);
          HWY_UNROLL(8)
          for (int r = 0; r < kRows; ++r) {
            const PlainRow<float> xr{x.data() + r * x.stride(0)};
            sum[r] = hn::MulAdd(v, load_first(d, xr, k, end - k), sum[r]);
          }
        }
        HWY_UNROLL(8)
        for (int r = 0; r < kRows; ++r) hn::Store(sum[r], d, slot(cut, r, j));
      }
    }
    for (int r = 0; r < kRows; ++r) {
      float* out = y.data() + r * y.stride(0) + n;
      auto total = hn::Zero(d4);
      for (int64_t cut = 0; cut < n_cuts; ++cut) {
        const auto sums = sums_of_four(hn::Load(d, slot(cut, r, 0)), hn::Load(d, slot(cut, r, 1)),
                                       hn::Load(d, slot(cut, r, 2)), hn::Load(d, slot(cut, r, 3)));
        total = cut > 0      ? hn::Add(total, sums)
                : accumulate ? hn::Add(sums, load_first(d4, PlainRow<float>{out}, 0, n_valid))
                             : sums;
      }
      if (n_valid == 4) {
        hn::StoreU(total, d4, out);
      } else {
        HWY_ALIGN float values[4];
        hn::Store(total, d4, values);
        std::copy_n(values, n_valid, out);
      }
    }
  }
}

// y[kRows, columns c and on] += x[kRows, n_rows] w[rows n and on, the same columns]
template <int kRows, int kVectors, class D, class Rows>
HWY_INLINE void outer_tile(D d, float* HWY_RESTRICT y, int64_t ldy, const float* HWY_RESTRICT x,
                           int64_t ldx, const Rows& w, int64_t n, int64_t n_rows, int64_t c) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[kRows][kVectors];
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::LoadU(d, y + r * ldy + c + v * lanes);
  }
  std::array<decltype(w.place(0)), kVectors> places;
  for (size_t v = 0; v < kVectors; ++v) places[v] = w.place(c + static_cast<int64_t>(v) * lanes);
  for (int64_t i = 0; i < n_rows; ++i) {
    const auto row_i = w.row(n + i);
    w.ask_for(n + n_rows + i, c, kVectors * lanes);
    hn::Vec<D> row[kVectors];
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v)
      row[v] = row_i.load(d, c + v * lanes, places[static_cast<size_t>(v)]);
    HWY_UNROLL(6)
    for (int r = 0; r < kRows; ++r) {
      const auto xr = hn::Set(d, x[r * ldx + i]);
      HWY_UNROLL(4)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(xr, row[v], sum[r][v]);
    }
  }
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, y + r * ldy + c + v * lanes);
  }
}

template <int kRows, class Rows>
void outer_rows(float* y, int64_t ldy, const float* x, int64_t ldx, const Rows& w, int64_t n,
                int64_t n_rows, int64_t cols) {
  const Floats d;
  int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    outer_tile<kRows, 4>(d, y, ldy, x, ldx, w, n, n_rows, c);
  }
  for (; c + kLanes <= cols; c += kLanes) {
    outer_tile<kRows, 1>(d, y, ldy, x, ldx, w, n, n_rows, c);
  }
  for (; c < cols; ++c) outer_tile<kRows, 1>(OneFloat(), y, ldy, x, ldx, w, n, n_rows, c);
}

// y[kRows, cols] += x[kRows, n_rows] w[rows n and on]: as outer_rows, but with sums in L1 instead of
// registers, so that the weight is read from end to end (twice as fast on Zen 4 as 16 rows together).
template <int kRows, class Rows>
void outer_stream(float* HWY_RESTRICT y, int64_t ldy, const float* HWY_RESTRICT x, int64_t ldx,
                  const Rows& w, int64_t n, int64_t n_rows, int64_t cols) {
  constexpr int64_t kPairs = 16, kPair = 2 * kLanes;
  const Floats d;
  const int64_t end = cols / kPair * kPair;
  for (int64_t first = 0; first < end; first += kPairs * kPair) {
    const int64_t last = std::min(end, first + kPairs * kPair);
    std::array<decltype(w.place(0)), kPairs> places;
    for (size_t p = 0; p < kPairs; ++p)
      places[p] = w.place(first + static_cast<int64_t>(p) * kPair);
    for (int64_t i = 0; i < n_rows; ++i) {
      const auto row = w.row(n + i);
      size_t p = 0;
      for (int64_t c = first; c < last; c += kPair, ++p) {
        const auto [a, b] = row.load_two(d, c, places[p]);
        HWY_UNROLL(2)
        for (int r = 0; r < kRows; ++r) {
          float* out = y + r * ldy + c;
          const V xr = hn::Set(d, x[r * ldx + i]);
          hn::StoreU(hn::MulAdd(xr, a, hn::LoadU(d, out)), d, out);
          hn::StoreU(hn::MulAdd(xr, b, hn::LoadU(d, out + kLanes)), d, out + kLanes);
        }
      }
    }
  }
  for (int64_t c = end; c < cols; ++c) {
    outer_tile<kRows, 1>(OneFloat(), y, ldy, x, ldx, w, n, n_rows, c);
  }
}

// Calls body(integral_constant of the number of rows, first row) for m rows in even portions of at
// most kMaxRows.
template <class Body, int... kRows>
HWY_INLINE void for_row_portions(int64_t m, const Body& body,
                                 std::integer_sequence<int, kRows...> /*less one*/) {
  const int64_t n_portions = ceil_div(m, kMaxRows);
  for (int64_t p = 0; p < n_portions; ++p) {
    const int64_t begin = m * p / n_portions, n = m * (p + 1) / n_portions - begin;
    ((n == kRows + 1 ? body(std::integral_constant<int, kRows + 1>(), begin) : void()), ...);
  }
}
template <class Body>
HWY_INLINE void for_row_portions(int64_t m, const Body& body) {
  for_row_portions(m, body, std::make_integer_sequence<int, kMaxRows>());
}

// Four weight rows at a time; the depth is cut so that a portion's rows of x stay in L1 beside them.
template <class Rows>
void dot_groups(View<float, 2> y, View<const float, 2> x, const Rows& rows, int64_t n_rows,
                int64_t n_cols, bool accumulate) {
  using Row = decltype(rows.row(0));
  for (int64_t n = 0; n < n_rows; n += 4) {
    const auto at = [&](int64_t i) HWY_ATTR { return rows.row(std::min(n + i, n_rows - 1)); };
    const std::array four{at(0), at(1), at(2), at(3)};
    Ahead ahead{rows.address(n, 0) + kAheadBytes<Row>, rows.bytes(4 * kLanes)};
    int64_t k = 0;
    do {  // once for no columns at all: the result is zero then, not what was there
      const int64_t depth = std::min(kDepthNt, n_cols - k);
      for_row_portions(x.dim(0), [&](auto rows_together, int64_t begin) HWY_ATTR {
        dot_tile<rows_together()>(y.data() + begin * y.stride(0) + n, y.stride(0),
                                  x.data() + begin * x.stride(0) + k, x.stride(0), four, k, depth,
                                  std::min<int64_t>(4, n_rows - n), accumulate || k > 0,
                                  begin == 0 ? ahead : Ahead{});
      });
      ahead.next += rows.bytes(4 * depth);
      k += kDepthNt;
    } while (k < n_cols);
  }
}

template <int... kRows>
HWY_INLINE void dot_streams(View<float, 2> y, View<const float, 2> x, const WeightView& w,
                            bool accumulate, std::integer_sequence<int, kRows...> /*less one*/) {
  thread_local Scratch partial_scratch;
  const int64_t n_cuts = std::max<int64_t>(1, ceil_div(w.cols, kDepthNt));
  float* partial = partial_scratch.take(n_cuts * x.dim(0) * 4 * kLanes);
  with_rows(w, [&](const auto& rows) HWY_ATTR {
    ((x.dim(0) == kRows + 1 ? dot_stream<kRows + 1>(y, x, rows, w.rows, w.cols, accumulate, partial)
                            : void()),
     ...);
  });
}

void dot_fp8(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  thread_local Scratch scaled_scratch;
  float* factors = scaled_scratch.take((x.dim(0) + 1) * w.cols);
  const View<float, 2> xs(factors + w.cols, {x.dim(0), w.cols});
  for (int64_t n = 0; n < w.rows;) {
    const int64_t end = end_of_rows(w, n);
    row_factors(factors, w, n);
    scale_input(xs, x, factors);
    dot_groups(y.columns(n, end), View<const float, 2>(xs), Fp8CodeRows(w.row_range(n, end)),
               end - n, w.cols, accumulate);
    n = end;
  }
}

}  // namespace

void dot_rows(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  if (w.form == WeightForm::kFp8) return dot_fp8(y, x, w, accumulate);
  if (x.dim(0) <= kMaxStreamRows) {
    return dot_streams(y, x, w, accumulate, std::make_integer_sequence<int, kMaxStreamRows>());
  }
  with_rows(w,
            [&](const auto& rows) HWY_ATTR { dot_groups(y, x, rows, w.rows, w.cols, accumulate); });
}

namespace {

// A cut of the depth after the other: its sums begin at zero and are then added.
template <class Rows>
void outer_groups(View<float, 2> y, View<const float, 2> x, const Rows& rows, int64_t n_rows,
                  bool accumulate) {
  constexpr int64_t kStreams = 16;  // weight rows per pass: as many as the prefetchers follow
  constexpr float kFactor = kCutFactor<decltype(rows.row(0))>;
  thread_local Scratch cut_scratch;
  const int64_t n_cols = y.dim(1);
  int64_t first = 0;
  do {  // once for no rows at all: the result is zero then, not what was there
    const int64_t end = std::min(n_rows, first + kDepthNn);
    const bool add = accumulate || first > 0;
    const View<float, 2> sums =
        add ? View<float, 2>(cut_scratch.take(y.size()), {y.dim(0), n_cols}) : y;
    for (int64_t r = 0; r < y.dim(0); ++r) std::fill_n(sums.row(r).begin(), n_cols, 0.0F);
    if (x.dim(0) <= kMaxStreamRowsNn && !std::is_same_v<Rows, Fp8CodeRows>) {
      const auto stream = x.dim(0) == 1 ? outer_stream<1, Rows> : outer_stream<2, Rows>;
      stream(sums.data(), sums.stride(0), x.data() + first, x.stride(0), rows, first, end - first,
             n_cols);
    } else {
      for (int64_t n = first; n < end; n += kStreams) {
        for_row_portions(x.dim(0), [&](auto rows_together, int64_t begin) HWY_ATTR {
          outer_rows<rows_together()>(sums.data() + begin * sums.stride(0), sums.stride(0),
                                      x.data() + begin * x.stride(0) + n, x.stride(0), rows, n,
                                      std::min(kStreams, end - n), n_cols);
        });
      }
    }
    for (int64_t r = 0; (add || kFactor != 1.0F) && r < y.dim(0); ++r) {
      for_each_vector(n_cols, [&](auto d, int64_t i) HWY_ATTR {
        float* out = y.row(r).data() + i;
        const auto sum = hn::Mul(hn::LoadU(d, sums.row(r).data() + i), hn::Set(d, kFactor));
        hn::StoreU(add ? hn::Add(hn::LoadU(d, out), sum) : sum, d, out);
      });
    }
    first = end;
  } while (first < n_rows);
}

void outer_fp8(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  thread_local Scratch scaled_scratch;
  float* factors = scaled_scratch.take((x.dim(0) + 1) * w.rows);
  const View<float, 2> xs(factors + w.rows, {x.dim(0), w.rows});
  for (int64_t k = 0; k < w.cols;) {
    const int64_t end = end_of_columns(w, k);
    column_factors(factors, w, k);
    scale_input(xs, x, factors);
    outer_groups(y.columns(k, end), View<const float, 2>(xs), Fp8CodeRows(w.column_range(k, end)),
                 w.rows, accumulate);
    k = end;
  }
}

}  // namespace

void outer_sums(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  if (w.form == WeightForm::kFp8) return outer_fp8(y, x, w, accumulate);
  with_rows(w, [&](const auto& rows) HWY_ATTR { outer_groups(y, x, rows, w.rows, accumulate); });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(dot_rows);
HWY_EXPORT(outer_sums);

}  // namespace

void few_rows_nt(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  HWY_DYNAMIC_DISPATCH(dot_rows)(y, x, w, accumulate);
}

void few_rows_nn(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  HWY_DYNAMIC_DISPATCH(outer_sums)(y, x, w, accumulate);
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
