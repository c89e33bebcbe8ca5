// main() of every test program. HADAL_SIMD=avx2 tests an older instruction set than the machine's.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "hadal/core/error.h"
#include "hadal/kernels/cpu/roof_probe.h"
#include "hadal/kernels/cpu/simd_limit.h"

namespace {

// A test that left another instruction set behind would have those after it test that one.
class SameInstructionSet : public testing::Environment {
 public:
  void SetUp() override { before_ = hadal::cpu::simd_target_name(); }
  void TearDown() override { EXPECT_EQ(hadal::cpu::simd_target_name(), before_); }

 private:
  std::string before_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    hadal::cpu::limit_simd_from_environment();
  } catch (const hadal::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new SameInstructionSet);  // which it deletes
  return RUN_ALL_TESTS();
}
