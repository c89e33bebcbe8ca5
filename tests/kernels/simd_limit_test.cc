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

}  // namespace
}  // namespace hadal
