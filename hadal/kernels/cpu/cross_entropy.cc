#include "hadal/kernels/cross_entropy.h"

#include <cmath>

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/cross_entropy.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// The largest logit. A NaN may be skipped here; the sum of exponentials will not miss it.
float largest_of(const float* x, int64_t n) {
  const Floats d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  float best = x[0];
  int64_t i = 0;
  if (n >= lanes) {
    auto largest = hn::LoadU(d, x);
    for (; i + lanes <= n; i += lanes) largest = hn::Max(largest, hn::LoadU(d, x + i));
    best = hn::GetLane(hn::MaxOfLanes(d, largest));
  }
  for (; i < n; ++i) best = std::max(best, x[i]);
  return best;
}

float cross_entropy_row(const float* logits, int64_t n, int64_t target) {
  const float largest = largest_of(logits, n);
  const double sum = sum_of(n, [=](auto d, int64_t i) HWY_ATTR {
    return exp_all(d, hn::Sub(hn::LoadU(d, logits + i), hn::Set(d, largest)));
  });
  return static_cast<float>(std::log(sum) + (double{largest} - double{logits[target]}));
}

// Exponentials are formed once: they replace the logits, then become the gradient in place.
float cross_entropy_gradient_row(float* logits, int64_t n, int64_t target, float scale) {
  const float largest = largest_of(logits, n);
  const double distance = double{largest} - double{logits[target]};
  const double sum = exponentials(logits, logits, largest, n);
  scale_range(logits, static_cast<float>(double{scale} / sum), n);
  logits[target] -= scale;
  return static_cast<float>(std::log(sum) + distance);
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(cross_entropy_row);
HWY_EXPORT(cross_entropy_gradient_row);

}  // namespace

void cross_entropy_forward(ThreadPool& pool, View<float, 1> loss, View<const float, 2> logits,
                           std::span<const int32_t> targets) {
  const auto row = HWY_DYNAMIC_DISPATCH(cross_entropy_row);
  const auto [T, V] = logits.shape();
  pool.parallel_for(T, row_grain(V), [&, V = V](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t target = targets[static_cast<size_t>(t)];
      loss(t) = target < 0 ? 0.0F : row(logits.row(t).data(), V, target);
    }
  });
}

void cross_entropy_forward_backward(ThreadPool& pool, View<float, 1> loss, View<float, 2> logits,
                                    std::span<const int32_t> targets, float scale) {
  const auto gradient_row = HWY_DYNAMIC_DISPATCH(cross_entropy_gradient_row);
  const auto [T, V] = logits.shape();
  pool.parallel_for(T, row_grain(V), [&, V = V](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t target = targets[static_cast<size_t>(t)];
      const std::span<float> row = logits.row(t);
      if (target < 0) {
        std::fill(row.begin(), row.end(), 0.0F);
        loss(t) = 0.0F;
      } else {
        loss(t) = gradient_row(row.data(), V, target, scale);
      }
    }
  });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
