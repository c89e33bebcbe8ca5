// main() of every test program. HADAL_SIMD=avx2 tests an older instruction set than the machine's.
#include <gtest/gtest.h>

#include <cstdio>

#include "hadal/core/error.h"
#include "hadal/kernels/cpu/simd_limit.h"

int main(int argc, char** argv) {
  try {
    hadal::cpu::limit_simd_from_environment();
  } catch (const hadal::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
