#include "hadal/kernels/convert.h"

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/convert.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// As to_bf16: to nearest, ties to even; NaN stays NaN.
void narrow_range(bf16* to, const float* from, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const hn::RebindToUnsigned<decltype(d)> d32;
    const hn::Rebind<uint16_t, decltype(d)> d16;
    const auto value = hn::LoadU(d, from + i);
    const auto bits = hn::BitCast(d32, value), upper = hn::ShiftRight<16>(bits);
    const auto up = hn::Add(hn::Set(d32, 0x7FFFU), hn::And(upper, hn::Set(d32, 1U)));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, up));
    const auto nan = hn::Or(upper, hn::Set(d32, 0x40U));
    const auto is_nan = hn::RebindMask(d32, hn::IsNaN(value));
    hn::StoreU(hn::TruncateTo(d16, hn::IfThenElse(is_nan, nan, rounded)), d16,
               reinterpret_cast<uint16_t*>(to + i));
  });
}

void widen_range(float* to, const bf16* from, int64_t n) {
  for_each_vector(
      n, [=](auto d, int64_t i) HWY_ATTR { hn::StoreU(load_stored(d, from + i), d, to + i); });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(narrow_range);
HWY_EXPORT(widen_range);

// What training does to every operand has vectors; files are converted once, at the speed of reading
// them, by the reference's body.
void convert_range(Tensor& to, const Tensor& from, int64_t begin, int64_t end) {
  if (to.dtype() == DType::kBF16 && from.dtype() == DType::kF32) {
    return HWY_DYNAMIC_DISPATCH(narrow_range)(to.flat<bf16>().data() + begin,
                                              from.flat<float>().data() + begin, end - begin);
  }
  if (to.dtype() == DType::kF32 && from.dtype() == DType::kBF16) {
    return HWY_DYNAMIC_DISPATCH(widen_range)(to.flat<float>().data() + begin,
                                             from.flat<bf16>().data() + begin, end - begin);
  }
  reference::convert_range(to, from, begin, end);
}

}  // namespace

// On every thread's share.
void convert(ThreadPool& pool, Tensor& to, const Tensor& from) {
  pool.parallel_for(from.size(), kGrainElements,
                    [&](int64_t begin, int64_t end, int) { convert_range(to, from, begin, end); });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
