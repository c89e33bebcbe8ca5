#include "hadal/kernels/cpu/attention_rows.h"

#include <algorithm>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/attention_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

float softmax_next_block_simd(RunningSoftmax& state, float* s, int64_t n_visible, int64_t n_keys,
                              float scale) {
  if (n_visible == 0) {  // the state stays as it is, to the last bit
    std::fill_n(s, n_keys, 0.0F);
    return 1.0F;
  }
  const Floats d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto scales = hn::Set(d, scale);
  const int64_t n_whole = n_visible / lanes * lanes;
  const int64_t n_rest = n_visible - n_whole;
  const auto in_rest = hn::FirstN(d, static_cast<size_t>(n_rest));
  HWY_ALIGN float rest_values[HWY_MAX_BYTES / sizeof(float)] = {};
  std::copy_n(s + n_whole, n_rest, rest_values);
  const auto rest = hn::Load(d, rest_values);
  auto largest = hn::Set(d, state.largest / scale);
  for (int64_t j = 0; j < n_whole; j += lanes) largest = hn::Max(largest, hn::LoadU(d, s + j));
  largest = hn::IfThenElse(in_rest, hn::Max(largest, rest), largest);
  const float new_largest = hn::GetLane(hn::MaxOfLanes(d, largest)) * scale;

  const auto shift = hn::Set(d, -new_largest);
  auto sums = hn::Zero(d);
  for (int64_t j = 0; j < n_whole; j += lanes) {
    const auto p = exp_all(d, hn::MulAdd(hn::LoadU(d, s + j), scales, shift));
    sums = hn::Add(sums, p);
    hn::StoreU(p, d, s + j);
  }
  const auto p = hn::IfThenElseZero(in_rest, exp_all(d, hn::MulAdd(rest, scales, shift)));
  hn::Store(p, d, rest_values);
  std::copy_n(rest_values, n_rest, s + n_whole);
  const float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sums, p)));
  std::fill(s + n_visible, s + n_keys, 0.0F);
  const OneFloat one;
  const float factor = hn::GetLane(exp_all(one, hn::Set(one, state.largest - new_largest)));
  state.sum = state.sum * factor + sum;
  state.largest = new_largest;
  return factor;
}

void softmax_backward_block_simd(float* s, float* dp, int64_t n_visible, int64_t n_keys,
                                 float scale, float lse, float o_dot_do) {
  // Whole vectors as far as there are keys: one by one the last visible ones would cost more than all others.
  const int64_t n =
      std::min(round_up(n_visible, static_cast<int64_t>(hn::Lanes(Floats()))), n_keys);
  for_each_vector(n, [=](auto d, int64_t j) HWY_ATTR {
    const auto scales = hn::Set(d, scale);
    const auto p = exp_all(d, hn::MulAdd(hn::LoadU(d, s + j), scales, hn::Set(d, -lse)));
    const auto difference = hn::Sub(hn::LoadU(d, dp + j), hn::Set(d, o_dot_do));
    hn::StoreU(p, d, s + j);
    hn::StoreU(hn::Mul(scales, hn::Mul(p, difference)), d, dp + j);
  });
  std::fill(s + n_visible, s + n_keys, 0.0F);
  std::fill(dp + n_visible, dp + n_keys, 0.0F);
}

bool has_512_bits() { return HWY_TARGET == HWY_AVX3; }

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(softmax_next_block_simd);
HWY_EXPORT(softmax_backward_block_simd);
HWY_EXPORT(scale_range);
HWY_EXPORT(dot_range);
HWY_EXPORT(has_512_bits);

}  // namespace

float softmax_next_block(RunningSoftmax& state, float* s, int64_t n_visible, int64_t n_keys,
                         float scale) {
  return HWY_DYNAMIC_DISPATCH(softmax_next_block_simd)(state, s, n_visible, n_keys, scale);
}

void softmax_backward_block(float* s, float* dp, int64_t n_visible, int64_t n_keys, float scale,
                            float lse, float o_dot_do) {
  HWY_DYNAMIC_DISPATCH(softmax_backward_block_simd)
  (s, dp, n_visible, n_keys, scale, lse, o_dot_do);
}

void scale_row(float* y, int64_t n, float factor) {
  HWY_DYNAMIC_DISPATCH(scale_range)(y, factor, n);
}

bool uses_512_bits() { return HWY_DYNAMIC_DISPATCH(has_512_bits)(); }

float dot(const float* a, const float* b, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_range)(a, b, n);
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
