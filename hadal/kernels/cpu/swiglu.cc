#include "hadal/kernels/swiglu.h"

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/swiglu.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// Comparisons, not Min and Max, which may return the number where the other is NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V at_most(D d, V x, float limit) {
  const V bound = hn::Set(d, limit);
  return hn::IfThenElse(hn::Gt(x, bound), bound, x);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V within(D d, V x, float limit) {
  const V bound = hn::Set(d, -limit);
  return hn::IfThenElse(hn::Lt(x, bound), bound, at_most(d, x, limit));
}

void swiglu_forward_row(float* h, const float* gate, const float* up, float limit, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto g = at_most(d, hn::LoadU(d, gate + i), limit);
    const auto u = within(d, hn::LoadU(d, up + i), limit);
    hn::StoreU(hn::Mul(hn::Mul(g, sigmoid(d, g)), u), d, h + i);
  });
}

void swiglu_backward_row(float* dgate, float* dup, const float* dh, const float* gate,
                         const float* up, float limit, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto one = hn::Set(d, 1.0F), bound = hn::Set(d, limit);
    const auto as_gate = hn::LoadU(d, gate + i), as_up = hn::LoadU(d, up + i);
    const auto g = at_most(d, as_gate, limit), u = within(d, as_up, limit);
    const auto s = sigmoid(d, g);
    const auto dh_s = hn::Mul(hn::LoadU(d, dh + i), s);
    // silu'(g) = s (1 + g (1 - s))
    const auto slope = hn::MulAdd(g, hn::Sub(one, s), one);
    const auto dup_i = hn::Mul(dh_s, g), dgate_i = hn::Mul(hn::Mul(dh_s, slope), u);
    hn::StoreU(hn::IfThenZeroElse(hn::Gt(hn::Abs(as_up), bound), dup_i), d, dup + i);
    hn::StoreU(hn::IfThenZeroElse(hn::Gt(as_gate, bound), dgate_i), d, dgate + i);
  });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(swiglu_forward_row);
HWY_EXPORT(swiglu_backward_row);

}  // namespace

void swiglu_forward(ThreadPool& pool, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up, float limit) {
  const auto row = HWY_DYNAMIC_DISPATCH(swiglu_forward_row);
  pool.parallel_for(h.dim(0), row_grain(h.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      row(h.row(t).data(), gate.row(t).data(), up.row(t).data(), limit, h.dim(1));
    }
  });
}

void swiglu_backward(ThreadPool& pool, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up,
                     float limit) {
  const auto row = HWY_DYNAMIC_DISPATCH(swiglu_backward_row);
  pool.parallel_for(dh.dim(0), row_grain(dh.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      row(dgate.row(t).data(), dup.row(t).data(), dh.row(t).data(), gate.row(t).data(),
          up.row(t).data(), limit, dh.dim(1));
    }
  });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
