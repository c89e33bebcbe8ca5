#include "hadal/kernels/swiglu.h"

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/swiglu.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

void swiglu_forward_row(float* h, const float* gate, const float* up, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::LoadU(d, gate + i);
    hn::StoreU(hn::Mul(hn::Mul(g, sigmoid(d, g)), hn::LoadU(d, up + i)), d, h + i);
  });
}

void swiglu_backward_row(float* dgate, float* dup, const float* dh, const float* gate,
                         const float* up, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto one = hn::Set(d, 1.0F);
    const auto g = hn::LoadU(d, gate + i);
    const auto s = sigmoid(d, g);
    const auto dh_s = hn::Mul(hn::LoadU(d, dh + i), s);
    // silu'(g) = s (1 + g (1 - s))
    const auto slope = hn::MulAdd(g, hn::Sub(one, s), one);
    hn::StoreU(hn::Mul(dh_s, g), d, dup + i);
    hn::StoreU(hn::Mul(hn::Mul(dh_s, slope), hn::LoadU(d, up + i)), d, dgate + i);
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
                    View<const float, 2> up) {
  const auto row = HWY_DYNAMIC_DISPATCH(swiglu_forward_row);
  pool.parallel_for(h.dim(0), row_grain(h.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      row(h.row(t).data(), gate.row(t).data(), up.row(t).data(), h.dim(1));
    }
  });
}

void swiglu_backward(ThreadPool& pool, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up) {
  const auto row = HWY_DYNAMIC_DISPATCH(swiglu_backward_row);
  pool.parallel_for(dh.dim(0), row_grain(dh.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      row(dgate.row(t).data(), dup.row(t).data(), dh.row(t).data(), gate.row(t).data(),
          up.row(t).data(), dh.dim(1));
    }
  });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
