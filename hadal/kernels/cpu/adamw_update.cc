#include "hadal/kernels/adamw_update.h"

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/adamw_update.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

template <class D>
HWY_INLINE void store_moment(D d, hn::Vec<D> value, float* p) {
  hn::StoreU(value, d, p);
}
// Rounds to nearest even as to_bf16 does; moments are finite here, the gradient was checked before.
template <class D>
HWY_INLINE void store_moment(D, hn::Vec<D> value, bf16* p) {
  const hn::Rebind<uint16_t, D> narrow;
  const hn::Rebind<uint32_t, D> bits;
  const hn::Rebind<int32_t, D> whole;
  const auto v = hn::BitCast(bits, value);
  const auto odd = hn::And(hn::ShiftRight<16>(v), hn::Set(bits, 1U));
  const auto rounded = hn::ShiftRight<16>(hn::Add(v, hn::Add(odd, hn::Set(bits, 0x7FFFU))));
  hn::StoreU(hn::DemoteTo(narrow, hn::BitCast(whole, rounded)), narrow,
             reinterpret_cast<uint16_t*>(p));
}

template <class Moment>
HWY_INLINE void adamw_range(float* value, Moment* m, Moment* v, const float* grad, int64_t n,
                            const AdamwStep& step) {
  const float decay = 1.0F - step.lr * step.weight_decay;
  const float rate = static_cast<float>(step.lr / step.bias1);
  const float v_scale = static_cast<float>(1.0 / step.bias2);
  for_each_vector(n, [=, &step](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, grad + i), hn::Set(d, step.grad_scale));
    const auto m_new = hn::MulAdd(hn::Set(d, step.beta1), load_stored(d, m + i),
                                  hn::Mul(hn::Set(d, 1.0F - step.beta1), g));
    const auto v_new = hn::MulAdd(hn::Set(d, step.beta2), load_stored(d, v + i),
                                  hn::Mul(hn::Set(d, 1.0F - step.beta2), hn::Mul(g, g)));
    const auto root = hn::Sqrt(hn::Mul(v_new, hn::Set(d, v_scale)));
    const auto move =
        hn::Div(hn::Mul(hn::Set(d, rate), m_new), hn::Add(root, hn::Set(d, step.eps)));
    const auto p = hn::Mul(hn::LoadU(d, value + i), hn::Set(d, decay));
    hn::StoreU(hn::Sub(p, move), d, value + i);
    store_moment(d, m_new, m + i);
    store_moment(d, v_new, v + i);
  });
}

void adamw_range_f32(float* value, float* m, float* v, const float* grad, int64_t n,
                     const AdamwStep& step) {
  adamw_range(value, m, v, grad, n, step);
}

void adamw_range_bf16(float* value, bf16* m, bf16* v, const float* grad, int64_t n,
                      const AdamwStep& step) {
  adamw_range(value, m, v, grad, n, step);
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(adamw_range_f32);
HWY_EXPORT(adamw_range_bf16);

template <class Moment, class Range>
void update(ThreadPool& pool, Range range, std::span<float> value, std::span<Moment> m,
            std::span<Moment> v, std::span<const float> grad, const AdamwStep& step) {
  pool.parallel_for(static_cast<int64_t>(value.size()), kGrainElements,
                    [&](int64_t begin, int64_t end, int) {
                      range(value.data() + begin, m.data() + begin, v.data() + begin,
                            grad.data() + begin, end - begin, step);
                    });
}

}  // namespace

void adamw_update(ThreadPool& pool, std::span<float> value, std::span<float> m, std::span<float> v,
                  std::span<const float> grad, const AdamwStep& step) {
  update(pool, HWY_DYNAMIC_DISPATCH(adamw_range_f32), value, m, v, grad, step);
}

void adamw_update(ThreadPool& pool, std::span<float> value, std::span<bf16> m, std::span<bf16> v,
                  std::span<const float> grad, const AdamwStep& step) {
  update(pool, HWY_DYNAMIC_DISPATCH(adamw_range_bf16), value, m, v, grad, step);
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
