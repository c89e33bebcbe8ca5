// kernels/cpu/scaled_input-inl.h: products with E4M3 weights whose scales are multiplied into the input.
//
//   nt   y[t,n]  = sum_k code(n,k) * xs[t,k]     xs[t,k] = x[t,k] * scale(n / 128, k / 128)
//   nn   dx[t,k] = sum_n code(n,k) * xs[t,n]     xs[t,n] = dy[t,n] * scale(n / 128, k / 128)
//
// 128 columns of a result share one xs, so a code costs no multiplication of its own. Codes
// are read 2^120 times too small (Fp8CodeRow), xs is kept 2^60 times too large, and the sum of a cut is
// multiplied by 2^60: exact, unless |x * scale| reaches 2^68 or a product falls below 2^-66.
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_SCALED_INPUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_SCALED_INPUT_INL_H_
#undef HADAL_KERNELS_CPU_SCALED_INPUT_INL_H_
#else
#define HADAL_KERNELS_CPU_SCALED_INPUT_INL_H_
#endif

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

inline constexpr float kInputFactor = 0x1p60F, kSumFactor = 0x1p60F;

// nt: factors[k] = 2^60 * scale of (n, k), for all columns of w.
inline void row_factors(float* factors, const WeightView& w, int64_t n) {
  const ScaleView& s = w.scales;
  const float* scales =
      static_cast<const float*>(s.data) + (s.row0 + n) / s.tiling.rows * s.row_stride;
  for (int64_t k = 0; k < w.cols;) {
    const int64_t block = (s.col0 + k) / s.tiling.cols;
    const int64_t end = std::min(w.cols, (block + 1) * s.tiling.cols - s.col0);
    std::fill(factors + k, factors + end, scales[block] * kInputFactor);
    k = end;
  }
}

// nn: factors[n] = 2^60 * scale of (n, k), for all rows of w.
inline void column_factors(float* factors, const WeightView& w, int64_t k) {
  const ScaleView& s = w.scales;
  const float* scales = static_cast<const float*>(s.data) + (s.col0 + k) / s.tiling.cols;
  for (int64_t n = 0; n < w.rows; ++n) {
    factors[n] = scales[(s.row0 + n) / s.tiling.rows * s.row_stride] * kInputFactor;
  }
}

// The first row behind n, or column behind k, that has other scales, or the end of w.
inline int64_t end_of_rows(const WeightView& w, int64_t n) {
  const int64_t rows = w.scales.tiling.rows, block = (w.scales.row0 + n) / rows;
  return std::min(w.rows, (block + 1) * rows - w.scales.row0);
}
inline int64_t end_of_columns(const WeightView& w, int64_t k) {
  const int64_t cols = w.scales.tiling.cols, block = (w.scales.col0 + k) / cols;
  return std::min(w.cols, (block + 1) * cols - w.scales.col0);
}

// A row of x times the factors.
struct FactoredRow {
  const float* data;
  const float* factors;
  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, int64_t k) const {
    return hn::Mul(hn::LoadU(d, data + k), hn::LoadU(d, factors + k));
  }
};

// xs = x times the factors.
HWY_INLINE void scale_input(View<float, 2> xs, View<const float, 2> x, const float* factors) {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const FactoredRow row{x.row(t).data(), factors};
    float* out = xs.row(t).data();
    for_each_vector(x.dim(1),
                    [&](auto d, int64_t i) HWY_ATTR { hn::StoreU(row.load(d, i), d, out + i); });
  }
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
