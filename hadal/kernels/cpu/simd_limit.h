// kernels/cpu/simd_limit.h: an older instruction set than the machine's best, to compare with a
// program built for it and to test every set on one machine.
#pragma once

#include <string>

namespace hadal::cpu {

// From now on kernels use `set` ("amx"; "avx512bf16", which has no AMX; "avx512" without its later parts, "avx2", "sse4"; "neon" on ARM) or
// what is older; a set that the machine lacks changes nothing. ConfigError for another name. No
// kernel may run meanwhile.
void limit_simd(const std::string& set);

// The same for a set that another machine recorded: false, and no limit, for one that no processor of this
// architecture has ("neon" on x86).
bool limit_to_recorded_simd(const std::string& set);

// The same for the set that HADAL_SIMD names, if it is there.
void limit_simd_from_environment();

// The best of these sets that the machine has and no limit forbids, "none" where it has none: the last
// bits of sums depend on it.
std::string simd_in_use();

}  // namespace hadal::cpu
