#include "hadal/kernels/cpu/few_rows.h"

#include <array>
#include <utility>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/scratch.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/few_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

// Rows of x whose sums are held in registers at once, beside 4 weight rows (nt) or 4 vectors (nn).
constexpr int kMaxRows = HWY_MAX_BYTES >= 64 ? 6 : 3;

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

// Weights are asked for ahead of their use, into L2, in the order in which they lie in memory: DRAM
// gives 19 GB/s that way, and 13 GB/s when four rows are read side by side, at any distance (Zen
// 4). Each tile asks for its share, so that the requests spread evenly.
struct Ahead {
  const char* next;
  int64_t bytes_per_step;

  HWY_INLINE void step() {
    for (int64_t byte = 0; byte < bytes_per_step; byte += 64) __builtin_prefetch(next + byte, 0, 2);
    next += bytes_per_step;
  }
};

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
  for (int64_t i = 0; i < n_rows; ++i) {
    const auto row_i = w.row(n + i);
    hn::Vec<D> row[kVectors];
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) row[v] = row_i.load(d, c + v * lanes);
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

}  // namespace

// Weights go by in groups that lie in L2, asked for while the group before is multiplied; within a
// group the depth is cut so that a portion's rows of x stay in L1 beside four weight rows.
void dot_rows(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  constexpr int64_t kGroup = 32, kDepth = kDepthNt;
  const int64_t n_portions = ceil_div(x.dim(0), kMaxRows);
  with_rows(w, [&](const auto& rows) HWY_ATTR {
    for (int64_t group = 0; group < w.rows; group += kGroup) {
      const char* next = rows.address(group + kGroup, 0);
      const int64_t group_end = std::min(w.rows, group + kGroup);
      int64_t k = 0;
      do {  // once for no columns at all: the result is zero then, not what was there
        const int64_t depth = std::min(kDepth, w.cols - k);
        for (int64_t n = group; n < group_end; n += 4) {
          const auto at = [&](int64_t i) HWY_ATTR { return rows.row(std::min(n + i, w.rows - 1)); };
          const std::array four{at(0), at(1), at(2), at(3)};
          for_row_portions(x.dim(0), [&](auto n_rows, int64_t begin) HWY_ATTR {
            const Ahead ahead{next, rows.bytes(4 * kLanes) / n_portions};
            next += rows.bytes(4 * depth) / n_portions;
            dot_tile<n_rows()>(y.data() + begin * y.stride(0) + n, y.stride(0),
                               x.data() + begin * x.stride(0) + k, x.stride(0), four, k, depth,
                               std::min<int64_t>(4, w.rows - n), accumulate || k > 0, ahead);
          });
        }
        k += kDepth;
      } while (k < w.cols);
    }
  });
}

void outer_sums(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  constexpr int64_t kStreams = 16;  // weight rows per pass: as many as the prefetchers follow
  thread_local Scratch cut_scratch;
  with_rows(w, [&](const auto& rows) HWY_ATTR {
    int64_t first = 0;
    do {  // once for no rows at all: the result is zero then, not what was there
      const int64_t end = std::min(w.rows, first + kDepthNn);
      const bool add = accumulate || first > 0;
      const View<float, 2> sums =
          add ? View<float, 2>(cut_scratch.take(y.size()), {y.dim(0), y.dim(1)}) : y;
      for (int64_t r = 0; r < y.dim(0); ++r) std::fill_n(sums.row(r).begin(), y.dim(1), 0.0F);
      for (int64_t n = first; n < end; n += kStreams) {
        for_row_portions(x.dim(0), [&](auto n_rows, int64_t begin) HWY_ATTR {
          outer_rows<n_rows()>(sums.data() + begin * sums.stride(0), sums.stride(0),
                               x.data() + begin * x.stride(0) + n, x.stride(0), rows, n,
                               std::min(kStreams, end - n), w.cols);
        });
      }
      for (int64_t r = 0; add && r < y.dim(0); ++r) {
        for_each_vector(y.dim(1), [&](auto d, int64_t i) HWY_ATTR {
          float* out = y.row(r).data() + i;
          hn::StoreU(hn::Add(hn::LoadU(d, out), hn::LoadU(d, sums.row(r).data() + i)), d, out);
        });
      }
      first = end;
    } while (first < w.rows);
  });
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
