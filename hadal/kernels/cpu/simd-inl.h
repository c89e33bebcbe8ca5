// kernels/cpu/simd-inl.h: what several vector kernels share. Compiled once per instruction set,
// hence the toggling guard; include it after hwy/foreach_target.h.
#if defined(HADAL_KERNELS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_SIMD_INL_H_
#undef HADAL_KERNELS_CPU_SIMD_INL_H_
#else
#define HADAL_KERNELS_CPU_SIMD_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using OneFloat = hn::CappedTag<float, 1>;

// body(tag, i) for every full vector at i, then for each single element that is left: both do the
// same arithmetic per element, so that the result does not depend on where a range is cut.
template <class Body>
HWY_INLINE void for_each_vector(int64_t n, const Body& body) {
  const Floats d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(d, i);
  for (; i < n; ++i) body(OneFloat(), i);
}

// e^x over the whole range: NaN stays NaN, what F32 cannot hold is infinity, and what lies below its
// normal numbers is 0. The series is hwy's Exp's, in two thirds of its instructions: that one knows
// neither NaN nor infinity, and multiplies by two powers of two where here q goes into the exponent.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_all(D d, V x) {
  const auto set = [d](float value) HWY_ATTR { return hn::Set(d, value); };
  const hn::RebindToSigned<D> bits;
  // x = q ln 2 + r. Adding 1.5 * 2^23 rounds to a whole number, which then stands in the lowest bits.
  const V shifted = hn::MulAdd(x, set(1.442695040888963407F), set(0x1.8p23F));
  const V q = hn::Sub(shifted, set(0x1.8p23F));
  const V r =
      hn::MulAdd(q, set(-1.428606765330187045e-6F), hn::MulAdd(q, set(-0.693145751953125F), x));
  const V r2 = hn::Mul(r, r), r4 = hn::Mul(r2, r2);
  const V k01 = hn::MulAdd(r, set(0.166666671633720397949219F), set(0.5F));
  const V k23 =
      hn::MulAdd(r, set(0.00833336077630519866943359F), set(0.0416664853692054748535156F));
  const V k45 =
      hn::MulAdd(r, set(0.000198527617612853646278381F), set(0.00139304355252534151077271F));
  const V series = hn::MulAdd(r4, k45, hn::MulAdd(r2, k23, k01));
  const V of_r = hn::Add(hn::MulAdd(series, r2, r), set(1.0F));
  const V y = hn::BitCast(
      d, hn::Add(hn::BitCast(bits, of_r), hn::ShiftLeft<23>(hn::BitCast(bits, shifted))));
  const V beyond = hn::Add(x, set(std::numeric_limits<float>::infinity()));  // infinity, or NaN
  return hn::IfThenZeroElse(hn::Lt(x, set(-87.33654F)),
                            hn::IfThenElse(hn::Le(x, set(88.72283F)), y, beyond));
}

// 1 / (1 + e^-x)
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0F);
  return hn::Div(one, hn::Add(one, exp_all(d, hn::Neg(x))));
}

// Sum of term(tag, i) over i < n: f32 within a run of 1024 elements, f64 across the runs.
template <class Term>
HWY_INLINE double sum_of(int64_t n, const Term& term) {
  constexpr int64_t kRun = 1024;
  const Floats d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kRun) {
    const int64_t end = std::min(n, begin + kRun);
    auto sum0 = hn::Zero(d), sum1 = hn::Zero(d);
    int64_t i = begin;
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      sum0 = hn::Add(sum0, term(d, i));
      sum1 = hn::Add(sum1, term(d, i + lanes));
    }
    if (i + lanes <= end) {
      sum0 = hn::Add(sum0, term(d, i));
      i += lanes;
    }
    float run = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
    for (; i < end; ++i) run += hn::GetLane(term(OneFloat(), i));
    total += run;
  }
  return total;
}

// These two are exported, so not HWY_INLINE: where there is one instruction set, they are called directly
// from code that is not compiled for it.

// y *= factor
inline void scale_range(float* y, float factor, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, y + i), hn::Set(d, factor)), d, y + i);
  });
}

// sum_i a[i] b[i]
inline float dot_range(const float* a, const float* b, int64_t n) {
  return static_cast<float>(sum_of(n, [=](auto d, int64_t i) HWY_ATTR {
    return hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i));
  }));
}

// e[i] = exp(x[i] - shift); returns their sum. e may be x.
HWY_INLINE double exponentials(float* e, const float* x, float shift, int64_t n) {
  return sum_of(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto v = exp_all(d, hn::Sub(hn::LoadU(d, x + i), hn::Set(d, shift)));
    hn::StoreU(v, d, e + i);
    return v;
  });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
