// kernels/cpu/simd_targets.h: the instruction sets our kernels are compiled for: SSE4, AVX2 and
// AVX-512 on x86 (the flags of this room make SSE4 the least), NEON on ARM. Include it before
// hwy/foreach_target.h.
#pragma once

// Every target compiles each kernel once more: no machine of interest stops at SSSE3, and nothing
// here uses what AVX3_DL adds to AVX3.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
