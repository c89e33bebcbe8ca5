#include "hadal/model/memory_needs.h"

#include <gmock/gmock.h>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// 61 layers of 512 + 64 values: 70,272 bytes in BF16; 512 + 4 * 4 + 2 * 64 bytes a layer in FP8.
// Projections of DeepSeek-V3 are 669.2 of its 671.0 billion values; the MTP module's are among them.
TEST(MemoryNeedsTest, AreThoseOfDeepSeekV3) {
  const MemoryNeeds needs = memory_needs(find_preset("deepseek-v3").config);
  EXPECT_EQ(needs.cache_bytes_bf16, 70'272);
  EXPECT_EQ(needs.cache_bytes_fp8, 61 * 656);
  const double values = 671.026e9 + 11.610e9, plain = 2 * 129280.0 * 7168 + 58 * 256 * 7168.0;
  const double experts = 59.0 * 256 * 3 * 7168 * 2048, others = values - plain - experts;
  const struct {
    WeightForm form;
    double bytes;  // of a value in the projections
  } table[] = {{WeightForm::kBF16, 2.0},
               {WeightForm::kFp8, 1.0 + 4.0 / 16384},
               {WeightForm::kQ8, 1.0 + 2.0 / 32},
               {WeightForm::kQ4, 0.5 + 2.0 / 32 + 0.5 * others / (experts + others)}};
  for (const auto& [form, bytes] : needs.weights) {
    for (const auto& row : table) {
      if (row.form != form) continue;
      const double want = (values - plain) * row.bytes + 2 * plain;
      EXPECT_NEAR(static_cast<double>(bytes) / want, 1.0, 0.002) << form_name(form);
    }
  }
}

TEST(MemoryNeedsTest, AWarningNamesWhatWouldFit) {
  const ModelConfig config = find_preset("deepseek-v2-lite").config;
  const MemoryNeeds needs = memory_needs(config);
  const int64_t bf16 = needs.weights[0].bytes, q8 = needs.weights[2].bytes;
  EXPECT_EQ(memory_warning(config, bf16, bf16 * 2), "");
  EXPECT_EQ(memory_warning(config, bf16, 0), "") << "unknown";
  const std::string some = memory_warning(config, bf16, q8 + (int64_t{1} << 30));
  EXPECT_THAT(some, testing::AllOf(HasSubstr("do not fit"), HasSubstr("FP8 "), HasSubstr("Q8 "),
                                   HasSubstr("Q4 "), Not(HasSubstr("BF16 3"))));
  EXPECT_THAT(memory_warning(config, bf16, int64_t{1} << 30),
              HasSubstr("no form of this model fits"));
}

TEST(MemoryNeedsTest, WeightsThatAreHeldHaveToFit) {
  const ModelConfig config = find_preset("deepseek-v2-lite").config;
  const int64_t f32 = f32_bytes(config), gib = int64_t{1} << 30;
  EXPECT_NEAR(static_cast<double>(f32), 4 * 15.71e9, 1e8);
  const auto refused = [&](HeldBecause because, int64_t available) {
    return error_of<Unavailable>([&] { require_memory(config, "DIR", f32, because, available); });
  };
  EXPECT_EQ(refused(HeldBecause::kWidened, f32 + gib), "no error");
  EXPECT_EQ(refused(HeldBecause::kWidened, 0), "no error") << "unknown";
  EXPECT_THAT(refused(HeldBecause::kWidened, 20 * gib),
              testing::AllOf(HasSubstr("DIR: weights widened to F32 do not fit into memory (found"),
                             HasSubstr("available, expected 62.8 GB and "), HasSubstr("fit: FP8 1"),
                             HasSubstr("Q4 "), Not(HasSubstr("BF16"))));
  EXPECT_THAT(refused(HeldBecause::kWidened, gib), HasSubstr("no form of this model fits here"));
  EXPECT_THAT(refused(HeldBecause::kUnaligned, gib), HasSubstr("have to be copied"));
  EXPECT_THAT(refused(HeldBecause::kRandom, gib), HasSubstr("a smaller preset"));
}

TEST(MemoryNeedsTest, TheSystemSaysWhatIsLeft) { EXPECT_GT(available_memory(), 0); }

}  // namespace
}  // namespace hadal::test
