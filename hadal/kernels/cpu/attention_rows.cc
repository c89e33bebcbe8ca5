#include "hadal/kernels/cpu/attention_rows.h"

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
  auto largest = hn::Set(d, state.largest / scale);
  for (int64_t j = 0; j < n_whole; j += lanes) largest = hn::Max(largest, hn::LoadU(d, s + j));
  float new_largest = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (int64_t j = n_whole; j < n_visible; ++j) new_largest = std::max(new_largest, s[j]);
  new_largest *= scale;

  const auto shift = hn::Set(d, -new_largest);
  auto sums = hn::Zero(d);
  for (int64_t j = 0; j < n_whole; j += lanes) {
    const auto p = exp_all(d, hn::MulAdd(hn::LoadU(d, s + j), scales, shift));
    sums = hn::Add(sums, p);
    hn::StoreU(p, d, s + j);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  const OneFloat one;
  for (int64_t j = n_whole; j < n_visible; ++j) {
    const auto x =
        hn::MulAdd(hn::LoadU(one, s + j), hn::Set(one, scale), hn::Set(one, -new_largest));
    s[j] = hn::GetLane(exp_all(one, x));
    sum += s[j];
  }
  std::fill(s + n_visible, s + n_keys, 0.0F);
  const float factor = hn::GetLane(exp_all(one, hn::Set(one, state.largest - new_largest)));
  state.sum = state.sum * factor + sum;
  state.largest = new_largest;
  return factor;
}

void softmax_backward_block_simd(float* s, float* dp, int64_t n_visible, int64_t n_keys,
                                 float scale, float lse, float o_dot_do) {
  for_each_vector(n_visible, [=](auto d, int64_t j) HWY_ATTR {
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
