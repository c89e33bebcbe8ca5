// kernels/cpu/roof_probe.h: loops that do nothing but reach one limit of the machine, for
// measure/roofline.h.
#pragma once

#include <cstdint>
#include <span>

namespace hadal::cpu {

struct FmaWork {
  double flops;   // done
  float residue;  // depends on every operation; keep it, so that none is optimised away
};
// Independent chains of fused multiply-adds in the widest registers of this machine.
FmaWork probe_fma(int64_t iterations);

// Reads every byte once; the XOR of all words.
uint64_t probe_read(std::span<const uint64_t> words);

// The instruction set that dynamic dispatch chose: "AVX3", "AVX2", ...
const char* simd_target_name();

}  // namespace hadal::cpu
