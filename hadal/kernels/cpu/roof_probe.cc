#include "hadal/kernels/cpu/roof_probe.h"

#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/roof_probe.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// Twelve chains cover latency times issue width (4 cycles x 2 units) with room to spare and still
// fit the sixteen registers of AVX2. They start apart, so that no two can be merged.
FmaWork fma_chains(int64_t iterations) {
  const Floats d;
  const auto x = hn::Set(d, 0.9999F), y = hn::Set(d, 1e-4F);
  auto a0 = hn::Set(d, 0.10F), a1 = hn::Set(d, 0.11F), a2 = hn::Set(d, 0.12F);
  auto a3 = hn::Set(d, 0.13F), a4 = hn::Set(d, 0.14F), a5 = hn::Set(d, 0.15F);
  auto a6 = hn::Set(d, 0.16F), a7 = hn::Set(d, 0.17F), a8 = hn::Set(d, 0.18F);
  auto a9 = hn::Set(d, 0.19F), a10 = hn::Set(d, 0.20F), a11 = hn::Set(d, 0.21F);
  for (int64_t i = 0; i < iterations; ++i) {
    a0 = hn::MulAdd(a0, x, y);
    a1 = hn::MulAdd(a1, x, y);
    a2 = hn::MulAdd(a2, x, y);
    a3 = hn::MulAdd(a3, x, y);
    a4 = hn::MulAdd(a4, x, y);
    a5 = hn::MulAdd(a5, x, y);
    a6 = hn::MulAdd(a6, x, y);
    a7 = hn::MulAdd(a7, x, y);
    a8 = hn::MulAdd(a8, x, y);
    a9 = hn::MulAdd(a9, x, y);
    a10 = hn::MulAdd(a10, x, y);
    a11 = hn::MulAdd(a11, x, y);
  }
  const auto low = hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(a4, a5));
  const auto high = hn::Add(hn::Add(hn::Add(a6, a7), hn::Add(a8, a9)), hn::Add(a10, a11));
  constexpr double kFlopsPerLane = 12 * 2;
  return {kFlopsPerLane * static_cast<double>(hn::Lanes(d)) * static_cast<double>(iterations),
          hn::GetLane(hn::SumOfLanes(d, hn::Add(low, high)))};
}

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

uint64_t xor_words(const uint64_t* words, int64_t n) {
  const hn::ScalableTag<uint64_t> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::Xor(s0, hn::LoadU(d, words + i));
    s1 = hn::Xor(s1, hn::LoadU(d, words + i + lanes));
    s2 = hn::Xor(s2, hn::LoadU(d, words + i + 2 * lanes));
    s3 = hn::Xor(s3, hn::LoadU(d, words + i + 3 * lanes));
  }
  const auto all = hn::Xor(hn::Xor(s0, s1), hn::Xor(s2, s3));
  HWY_ALIGN uint64_t parts[HWY_MAX_BYTES / sizeof(uint64_t)] = {};
  hn::Store(all, d, parts);
  uint64_t result = 0;
  for (int64_t lane = 0; lane < lanes; ++lane) result ^= parts[lane];
  for (; i < n; ++i) result ^= words[i];
  return result;
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(fma_chains);
HWY_EXPORT(xor_words);
HWY_EXPORT(target_name);

}  // namespace

const char* simd_target_name() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

FmaWork probe_fma(int64_t iterations) { return HWY_DYNAMIC_DISPATCH(fma_chains)(iterations); }

uint64_t probe_read(std::span<const uint64_t> words) {
  return HWY_DYNAMIC_DISPATCH(xor_words)(words.data(), static_cast<int64_t>(words.size()));
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
