#include "hadal/kernels/rope.h"

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/rope.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// Turns one head of one token: n_pairs pairs (even, odd) stand next to each other.
void rope_turn_head(float* x, const float* cos, const float* sin, int64_t n_pairs,
                    float direction) {
  for_each_vector(n_pairs, [=](auto d, int64_t i) HWY_ATTR {
    const auto c = hn::LoadU(d, cos + i);
    const auto s = hn::Mul(hn::LoadU(d, sin + i), hn::Set(d, direction));
    auto even = hn::Zero(d), odd = hn::Zero(d);
    hn::LoadInterleaved2(d, x + 2 * i, even, odd);
    hn::StoreInterleaved2(hn::NegMulAdd(odd, s, hn::Mul(even, c)),
                          hn::MulAdd(even, s, hn::Mul(odd, c)), d, x + 2 * i);
  });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(rope_turn_head);

}  // namespace

void rope_turn(ThreadPool& pool, View<float, 3> x, View<const float, 2> cos,
               View<const float, 2> sin, std::span<const int32_t> positions, int direction) {
  const auto turn = HWY_DYNAMIC_DISPATCH(rope_turn_head);
  const int64_t n_heads = x.dim(1), n_pairs = x.dim(2) / 2;
  pool.parallel_for(
      x.dim(0), row_grain(4 * n_heads * x.dim(2)), [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) {
          const int64_t position = positions[static_cast<size_t>(t)];
          for (int64_t h = 0; h < n_heads; ++h) {
            turn(x.data() + t * x.stride(0) + h * x.stride(1), cos.row(position).data(),
                 sin.row(position).data(), n_pairs, static_cast<float>(direction));
          }
        }
      });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
