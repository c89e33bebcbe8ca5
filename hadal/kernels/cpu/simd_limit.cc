#include "hadal/kernels/cpu/simd_limit.h"

#include <cstdlib>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/kernels/cpu/bf16/amx.h"
#include "hwy/targets.h"

namespace hadal::cpu {
namespace {

struct SimdSet {
  const char* name;
  int64_t target;
  bool amx = false;  // for products of BF16, beside the target
};
#if HWY_ARCH_X86
constexpr SimdSet kSimdSets[] = {{"amx", HWY_AVX3_DL, true},
                                 {"avx512bf16", HWY_AVX3_DL},
                                 {"avx512", HWY_AVX3},
                                 {"avx2", HWY_AVX2},
                                 {"sse4", HWY_SSE4}};
#else
constexpr SimdSet kSimdSets[] = {{"neon", HWY_NEON}};
#endif

}  // namespace

bool limit_to_recorded_simd(const std::string& set) {
  for (const SimdSet& each : kSimdSets) {
    if (set != each.name) continue;
    // The better a set, the lower its bit.
    hwy::DisableTargets(each.target - 1);
    allow_amx(each.amx);
    // Chosen here: hwy::SupportedTargets() leaves for a moment a choice without the limit, which a kernel
    // in another thread could take.
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return true;
  }
  return false;
}

void limit_simd(const std::string& set) {
  if (limit_to_recorded_simd(set)) return;
  std::string names;
  for (const SimdSet& each : kSimdSets) {
    names += (names.empty() ? "" : ", ") + std::string(each.name);
  }
  throw ConfigError({.field = "HADAL_SIMD",
                     .problem = "unknown instruction set",
                     .found = in_quotes(set),
                     .expected = names});
}

std::string simd_in_use() {
  const int64_t supported = hwy::SupportedTargets();
  for (const SimdSet& each : kSimdSets) {
    if ((supported & each.target) != 0) return each.name;
  }
  return "none";
}

void limit_simd_from_environment() {
  if (const char* set = std::getenv("HADAL_SIMD"); set && *set) limit_simd(set);
}

}  // namespace hadal::cpu
