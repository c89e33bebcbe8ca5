#include "hadal/kernels/elementwise.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <vector>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/elementwise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

void add_range(float* y, const float* x, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
  });
}

// Mul and Add, not MulAdd: a weight average must not depend on which instructions a machine has.
void ema_range(float* average, const float* value, float decay, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto old = hn::LoadU(d, average + i);
    const auto step = hn::Mul(hn::Set(d, 1.0F - decay), hn::Sub(hn::LoadU(d, value + i), old));
    hn::StoreU(hn::Add(old, step), d, average + i);
  });
}

// In f64 throughout: the clip factor of a whole model hangs on this sum.
double sum_of_squares_range(const float* x, int64_t n) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(wide));
  auto sum0 = hn::Zero(wide), sum1 = hn::Zero(wide);
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto v0 = hn::PromoteTo(wide, hn::LoadU(narrow, x + i));
    const auto v1 = hn::PromoteTo(wide, hn::LoadU(narrow, x + i + lanes));
    sum0 = hn::MulAdd(v0, v0, sum0);
    sum1 = hn::MulAdd(v1, v1, sum1);
  }
  double sum = hn::GetLane(hn::SumOfLanes(wide, hn::Add(sum0, sum1)));
  for (; i < n; ++i) sum += double{x[i]} * double{x[i]};
  return sum;
}

// As bits without the sign, floats compare like whole numbers, and NaN is above all of them.
float largest_magnitude_range(const float* x, int64_t n) {
  uint32_t largest = 0;
  for_each_vector(n, [x, &largest](auto d, int64_t i) HWY_ATTR {
    const hn::RebindToUnsigned<decltype(d)> bits;
    const auto magnitude = hn::BitCast(bits, hn::Abs(hn::LoadU(d, x + i)));
    largest = std::max(largest, hn::GetLane(hn::MaxOfLanes(bits, magnitude)));
  });
  return std::bit_cast<float>(largest);
}

int64_t count_not_finite_range(const float* x, int64_t n) {
  int64_t finite = 0;
  for_each_vector(n, [x, &finite](auto d, int64_t i) HWY_ATTR {
    finite += static_cast<int64_t>(hn::CountTrue(d, hn::IsFinite(hn::LoadU(d, x + i))));
  });
  return n - finite;
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(add_range);
HWY_EXPORT(scale_range);
HWY_EXPORT(ema_range);
HWY_EXPORT(sum_of_squares_range);
HWY_EXPORT(largest_magnitude_range);
HWY_EXPORT(count_not_finite_range);

int64_t length(std::span<const float> x) { return static_cast<int64_t>(x.size()); }

}  // namespace

void add(ThreadPool& pool, std::span<float> y, std::span<const float> x) {
  const auto range = HWY_DYNAMIC_DISPATCH(add_range);
  pool.parallel_for(length(y), kGrainElements, [&](int64_t begin, int64_t end, int) {
    range(y.data() + begin, x.data() + begin, end - begin);
  });
}

void scale(ThreadPool& pool, std::span<float> y, float factor) {
  const auto range = HWY_DYNAMIC_DISPATCH(scale_range);
  pool.parallel_for(length(y), kGrainElements, [&](int64_t begin, int64_t end, int) {
    range(y.data() + begin, factor, end - begin);
  });
}

void fill(ThreadPool& pool, std::span<float> y, float value) {
  pool.parallel_for(length(y), kGrainElements, [&](int64_t begin, int64_t end, int) {
    std::fill(y.begin() + begin, y.begin() + end, value);
  });
}

void ema_update(ThreadPool& pool, std::span<float> average, std::span<const float> value,
                float decay) {
  const auto range = HWY_DYNAMIC_DISPATCH(ema_range);
  pool.parallel_for(length(average), kGrainElements, [&](int64_t begin, int64_t end, int) {
    range(average.data() + begin, value.data() + begin, decay, end - begin);
  });
}

double sum_of_squares(ThreadPool& pool, std::span<const float> x) {
  // Blocks of fixed size, added in order: the same sum whatever the thread count.
  const auto range = HWY_DYNAMIC_DISPATCH(sum_of_squares_range);
  const int64_t n_blocks = ceil_div(length(x), kGrainElements);
  std::vector<double> sums(static_cast<size_t>(n_blocks));
  pool.parallel_for(n_blocks, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kGrainElements;
      sums[static_cast<size_t>(block)] =
          range(x.data() + at, std::min(kGrainElements, length(x) - at));
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

float largest_magnitude(ThreadPool& pool, std::span<const float> x) {
  const auto range = HWY_DYNAMIC_DISPATCH(largest_magnitude_range);
  std::vector<float> of_blocks(static_cast<size_t>(ceil_div(length(x), kGrainElements)));
  pool.parallel_for(ceil_div(length(x), kGrainElements), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kGrainElements;
      of_blocks[static_cast<size_t>(block)] =
          range(x.data() + at, std::min(kGrainElements, length(x) - at));
    }
  });
  return reference::largest_magnitude(of_blocks);
}

int64_t count_not_finite(ThreadPool& pool, std::span<const float> x) {
  const auto range = HWY_DYNAMIC_DISPATCH(count_not_finite_range);
  std::atomic<int64_t> count{0};
  pool.parallel_for(length(x), kGrainElements, [&](int64_t begin, int64_t end, int) {
    count += range(x.data() + begin, end - begin);
  });
  return count;
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
