#include "hadal/kernels/cpu/few_rows.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/few_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

using V = hn::Vec<Floats>;
using FourFloats = hn::CappedTag<float, 4>;

// Rows of x whose sums are held in registers at once, beside 4 weight rows (nt) or 4 vectors (nn).
constexpr int64_t kLanes = HWY_MAX_BYTES / 4;
constexpr int kMaxRows = HWY_MAX_BYTES >= 64 ? 6 : 3;

// Lane j is the sum of all lanes of the j-th argument. Half of a transposition: adding between its
// two steps leaves 6 shuffles of 8.
HWY_INLINE hn::Vec<FourFloats> sums_of_four(V a, V b, V c, V e) {
  const Floats d;
  const hn::RepartitionToWide<Floats> d64;
  const V ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  const V ce = hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
  const auto ab64 = hn::BitCast(d64, ab), ce64 = hn::BitCast(d64, ce);
  const V sum = hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, ab64, ce64)),
                        hn::BitCast(d, hn::InterleaveUpper(d64, ab64, ce64)));
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

// y[kRows, 4] (+)= x[kRows, k] w[4, k]^T; only the first n_valid weight rows exist.
template <int kRows, class Stored>
void dot_tile(float* HWY_RESTRICT y, int64_t ldy, const float* HWY_RESTRICT x, int64_t ldx,
              const Stored* HWY_RESTRICT w, int64_t ldw, int64_t k, int64_t n_valid,
              bool accumulate, Ahead ahead) {
  const Floats d;
  const Stored *w0 = w, *w1 = w + std::min<int64_t>(1, n_valid - 1) * ldw;
  const Stored* w2 = w + std::min<int64_t>(2, n_valid - 1) * ldw;
  const Stored* w3 = w + std::min<int64_t>(3, n_valid - 1) * ldw;
  V sum[kRows][4];
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    ahead.step();
    const V v0 = load_stored(d, w0 + i), v1 = load_stored(d, w1 + i);
    const V v2 = load_stored(d, w2 + i), v3 = load_stored(d, w3 + i);
    HWY_UNROLL(6)
    for (int r = 0; r < kRows; ++r) {
      const V xr = hn::LoadU(d, x + r * ldx + i);
      sum[r][0] = hn::MulAdd(v0, xr, sum[r][0]);
      sum[r][1] = hn::MulAdd(v1, xr, sum[r][1]);
      sum[r][2] = hn::MulAdd(v2, xr, sum[r][2]);
      sum[r][3] = hn::MulAdd(v3, xr, sum[r][3]);
    }
  }
  const FourFloats d4;
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) {
    auto totals = sums_of_four(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    float* out = y + r * ldy;
    if (i == k && n_valid == 4) {
      if (accumulate) totals = hn::Add(totals, hn::LoadU(d4, out));
      hn::StoreU(totals, d4, out);
      continue;
    }
    HWY_ALIGN float total[4];
    hn::Store(totals, d4, total);
    for (int64_t j = i; j < k; ++j) {
      const float xr = x[r * ldx + j];
      total[0] += xr * to_f32(w0[j]);
      total[1] += xr * to_f32(w1[j]);
      total[2] += xr * to_f32(w2[j]);
      total[3] += xr * to_f32(w3[j]);
    }
    for (int64_t n = 0; n < n_valid; ++n) out[n] = total[n] + (accumulate ? out[n] : 0.0F);
  }
}

// y[kRows, 4 vectors of D] += x[kRows, n] w[n, same columns]
template <int kRows, int kVectors, class D, class Stored>
HWY_INLINE void outer_tile(D d, float* HWY_RESTRICT y, int64_t ldy, const float* HWY_RESTRICT x,
                           int64_t ldx, const Stored* HWY_RESTRICT w, int64_t ldw, int64_t n) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[kRows][kVectors];
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::LoadU(d, y + r * ldy + v * lanes);
  }
  for (int64_t i = 0; i < n; ++i) {
    hn::Vec<D> row[kVectors];
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) row[v] = load_stored(d, w + i * ldw + v * lanes);
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
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, y + r * ldy + v * lanes);
  }
}

template <int kRows, class Stored>
void outer_rows(float* y, int64_t ldy, const float* x, int64_t ldx, const Stored* w, int64_t ldw,
                int64_t n, int64_t cols) {
  const Floats d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + 4 * lanes <= cols; c += 4 * lanes) {
    outer_tile<kRows, 4>(d, y + c, ldy, x, ldx, w + c, ldw, n);
  }
  for (; c + lanes <= cols; c += lanes) {
    outer_tile<kRows, 1>(d, y + c, ldy, x, ldx, w + c, ldw, n);
  }
  for (; c < cols; ++c) outer_tile<kRows, 1>(OneFloat(), y + c, ldy, x, ldx, w + c, ldw, n);
}

// Calls body(integral_constant of the number of rows, first row) for m rows in even
// portions.
template <class Body>
HWY_INLINE void for_row_portions(int64_t m, const Body& body) {
  const int64_t n_portions = ceil_div(m, kMaxRows);
  for (int64_t p = 0; p < n_portions; ++p) {
    const int64_t begin = m * p / n_portions;
    switch (m * (p + 1) / n_portions - begin) {
      case 1:
        body(std::integral_constant<int, 1>(), begin);
        break;
      case 2:
        body(std::integral_constant<int, 2>(), begin);
        break;
      case 3:
        body(std::integral_constant<int, 3>(), begin);
        break;
#if HWY_MAX_BYTES >= 64
      case 4:
        body(std::integral_constant<int, 4>(), begin);
        break;
      case 5:
        body(std::integral_constant<int, 5>(), begin);
        break;
      default:
        body(std::integral_constant<int, 6>(), begin);
        break;
#endif
    }
  }
}

}  // namespace

// Weights go by in groups that lie in L2, asked for while the group before is multiplied; within a
// group the depth is cut so that a portion's rows of x stay in L1 beside four weight rows.
void dot_rows(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  constexpr int64_t kGroup = 32, kDepth = 512;
  const int64_t n_portions = ceil_div(x.dim(0), kMaxRows);
  with_stored(w.form, w.data, [&](const auto* data) HWY_ATTR {
    using Stored = std::remove_cvref_t<decltype(*data)>;
    constexpr int64_t kBytes = static_cast<int64_t>(sizeof(Stored));
    for (int64_t group = 0; group < w.rows; group += kGroup) {
      const char* next = reinterpret_cast<const char*>(data + (group + kGroup) * w.row_stride);
      const int64_t group_end = std::min(w.rows, group + kGroup);
      int64_t k = 0;
      do {  // once for no columns at all: the result is zero then, not what was there
        const int64_t depth = std::min(kDepth, w.cols - k);
        for (int64_t n = group; n < group_end; n += 4) {
          for_row_portions(x.dim(0), [&](auto rows, int64_t begin) HWY_ATTR {
            const Ahead ahead{next, 4 * kLanes * kBytes / n_portions};
            next += 4 * depth * kBytes / n_portions;
            dot_tile<rows()>(y.data() + begin * y.stride(0) + n, y.stride(0),
                             x.data() + begin * x.stride(0) + k, x.stride(0),
                             data + n * w.row_stride + k, w.row_stride, depth,
                             std::min<int64_t>(4, w.rows - n), accumulate || k > 0, ahead);
          });
        }
        k += kDepth;
      } while (k < w.cols);
    }
  });
}

void outer_sums(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  constexpr int64_t kDepth = 16;  // weight rows per pass: as many streams as the prefetchers follow
  if (!accumulate) {
    for (int64_t r = 0; r < y.dim(0); ++r) std::fill(y.row(r).begin(), y.row(r).end(), 0.0F);
  }
  with_stored(w.form, w.data, [&](const auto* data) HWY_ATTR {
    for (int64_t n = 0; n < w.rows; n += kDepth) {
      for_row_portions(x.dim(0), [&](auto rows, int64_t begin) HWY_ATTR {
        outer_rows<rows()>(y.data() + begin * y.stride(0), y.stride(0),
                           x.data() + begin * x.stride(0) + n, x.stride(0), data + n * w.row_stride,
                           w.row_stride, std::min(kDepth, w.rows - n), w.cols);
      });
    }
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
