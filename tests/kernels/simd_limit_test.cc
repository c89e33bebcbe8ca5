#include "hadal/kernels/cpu/simd_limit.h"

#include <gtest/gtest.h>

#include "hadal/kernels/cpu/bf16/amx.h"
#include "hadal/kernels/cpu/bf16/bf16_gemm.h"
#include "hadal/kernels/cpu/roof_probe.h"
#include "hwy/targets.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

class SimdLimitTest : public testing::Test {
 protected:
  void TearDown() override {
    hwy::DisableTargets(0);
    cpu::allow_amx(true);
    cpu::limit_simd_from_environment();
  }
};

TEST_F(SimdLimitTest, KernelsUseNothingNewer) {
  const std::string best = cpu::simd_target_name();  // a choice was made: it must be made again
  const int64_t all = hwy::SupportedTargets();
  if (all & HWY_AVX2) {
    cpu::limit_simd("avx2");
    EXPECT_EQ(cpu::simd_target_name(), std::string("AVX2"));
  }
  if (all & HWY_SSE4) {
    cpu::limit_simd("sse4");
    EXPECT_EQ(cpu::simd_target_name(), std::string("SSE4"));
  }
  hwy::DisableTargets(0);
  cpu::limit_simd_from_environment();
  EXPECT_EQ(cpu::simd_target_name(), best);
}

TEST_F(SimdLimitTest, ProductsOfBf16) {
  cpu::limit_simd("avx512bf16");
  EXPECT_NE(cpu::bf16_products_name(), std::string("AMX"));
  cpu::limit_simd("avx2");
  EXPECT_EQ(cpu::bf16_products_name(), std::string("F32"));
}

TEST_F(SimdLimitTest, OtherNamesAreRefused) {
  for (const char* name : {"AVX2", "neon ", "none"}) {
    const Refusal why = test::refusal_of([&] { cpu::limit_simd(name); });
    EXPECT_EQ(why.field, "HADAL_SIMD") << name;
    EXPECT_NE(why.expected, "") << name;
  }
}

// Of another architecture, or none at all: what is in use stays in use.
TEST_F(SimdLimitTest, SetsOfOtherMachinesChangeNothing) {
  const std::string best = cpu::simd_in_use();
  for (const char* name : {best == "neon" ? "avx2" : "neon", "none", ""}) {
    EXPECT_FALSE(cpu::limit_to_recorded_simd(name)) << name;
    EXPECT_EQ(cpu::simd_in_use(), best) << name;
  }
  EXPECT_TRUE(cpu::limit_to_recorded_simd(best));
  EXPECT_EQ(cpu::simd_in_use(), best);
}

}  // namespace
}  // namespace hadal
