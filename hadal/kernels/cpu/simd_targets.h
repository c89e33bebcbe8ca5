// kernels/cpu/simd_targets.h: the instruction sets our kernels are compiled for: SSE4, AVX2 and
// AVX-512 on x86 (the flags of this room make SSE4 the least), NEON on ARM. Include it before
// hwy/foreach_target.h.
#pragma once

// Every target compiles each kernel once more. No machine of interest stops at SSSE3, and only
// kernels/cpu/turned_gemm.cc uses what AVX3_DL adds to AVX3, and nothing that AVX3 adds to AVX2. Vectors of
// SVE have no size when the program is compiled and cannot stand in arrays, as sums do here: its machines
// run NEON.
#define HADAL_UNUSED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE_256 | HWY_SVE2 | HWY_SVE2_128)
#ifdef HWY_WANT_AVX3_DL
#define HWY_DISABLED_TARGETS (HADAL_UNUSED_TARGETS | HWY_AVX3)
#else
#define HWY_DISABLED_TARGETS (HADAL_UNUSED_TARGETS | HWY_AVX3_DL)
#endif
