// kernels/cpu/stored-inl.h: loads of stored weights (F32, BF16, F16) as f32 vectors.
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_STORED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_STORED_INL_H_
#undef HADAL_KERNELS_CPU_STORED_INL_H_
#else
#define HADAL_KERNELS_CPU_STORED_INL_H_
#endif

#include "hadal/kernels/cpu/simd-inl.h"
#include "hadal/tensor/weight_view.h"
#include "hwy/cache_control.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const bf16* p) {
  const hn::RebindToUnsigned<D> d32;
  const hn::Rebind<uint16_t, D> d16;
  const auto bits = hn::PromoteTo(d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}
template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const f16* p) {
  const hn::Rebind<hwy::float16_t, D> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)));
}

HWY_INLINE float to_f32(float value) { return value; }
HWY_INLINE float to_f32(bf16 value) { return to_float(value); }
HWY_INLINE float to_f32(f16 value) { return to_float(value); }

// Calls body with `data` as a pointer to the stored type.
template <class Body>
HWY_INLINE void with_stored(WeightForm form, const void* data, const Body& body) {
  switch (form) {
    case WeightForm::kF32:
      return body(static_cast<const float*>(data));
    case WeightForm::kBF16:
      return body(static_cast<const bf16*>(data));
    case WeightForm::kF16:
      return body(static_cast<const f16*>(data));
    case WeightForm::kFp8:
    case WeightForm::kQ8:
    case WeightForm::kQ4:
      break;  // refused at the front door
  }
  HWY_ABORT("a kernel met a weight form that it does not read");
}

// Four vectors of four lanes, as rows of a matrix, to its columns.
template <class D4, class V4 = hn::Vec<D4>>
HWY_INLINE void transpose_4x4(D4 d, V4& a, V4& b, V4& c, V4& e) {
  const hn::RepartitionToWide<D4> d64;
  const V4 ab_low = hn::InterleaveLower(d, a, b), ab_high = hn::InterleaveUpper(d, a, b);
  const V4 ce_low = hn::InterleaveLower(d, c, e), ce_high = hn::InterleaveUpper(d, c, e);
  const auto lower = [&](V4 x, V4 y) HWY_ATTR {
    return hn::BitCast(d, hn::InterleaveLower(d64, hn::BitCast(d64, x), hn::BitCast(d64, y)));
  };
  const auto upper = [&](V4 x, V4 y) HWY_ATTR {
    return hn::BitCast(d, hn::InterleaveUpper(d64, hn::BitCast(d64, x), hn::BitCast(d64, y)));
  };
  a = lower(ab_low, ce_low);
  b = upper(ab_low, ce_low);
  c = lower(ab_high, ce_high);
  e = upper(ab_high, ce_high);
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
