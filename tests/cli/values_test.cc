// What the texts of options mean.
#include <gtest/gtest.h>

#include "hadal/cli/sampling_flags.h"
#include "hadal/cli/sweep_axis.h"
#include "hadal/command/quantity.h"
#include "hadal/core/error.h"
#include "hadal/infer/request.h"
#include "tests/support/refusal.h"
#include "tests/support/text_model_folder.h"

namespace hadal::cli {
namespace {

TEST(Quantity, PrefixesAreThousands) {
  EXPECT_EQ(parse_quantity("--x", "4K"), 4000);
  EXPECT_EQ(parse_quantity("--x", "2.5M"), 2.5e6);
  EXPECT_EQ(parse_quantity("--x", "469B"), 469e9);
  EXPECT_EQ(parse_quantity("--x", "469G"), 469e9);
  EXPECT_EQ(parse_quantity("--x", "14.8T"), 14.8e12);
  EXPECT_EQ(parse_quantity("--x", "-1e3"), -1000);
  for (const char* wrong : {"", "K", "4k", "4 K", "4KB", "1e999", "nan"}) {
    test::expect_refused<ConfigError>([&] { parse_quantity("--x", wrong); },
                                      concat("--x: not a number here (found \"", wrong, "\""));
  }
}

TEST(SweepAxis, ValuesAreThoseThatThePageNames) {
  EXPECT_EQ(parse_sweep_axis("n=1,2,4", "--vary").values, (std::vector<double>{1, 2, 4}));
  EXPECT_EQ(parse_sweep_axis("n=1:9:5", "--vary").values, (std::vector<double>{1, 3, 5, 7, 9}));
  EXPECT_EQ(parse_sweep_axis("n=3:9:1", "--vary").values, (std::vector<double>{3}));
  EXPECT_EQ(parse_sweep_axis("n=1:16:x2", "--vary").values, (std::vector<double>{1, 2, 4, 8, 16}));
  EXPECT_EQ(parse_sweep_axis("n=1:15:x2", "--vary").values, (std::vector<double>{1, 2, 4, 8}));
  // 1.1^5 is 1.61051 but for rounding.
  EXPECT_EQ(parse_sweep_axis("n=1:1.61051:x1.1", "--vary").values.size(), 6U);
}

TEST(SamplingFlags, SpeculateTakesUpToSevenDrafts) {
  ModelConfig config;
  config.n_mtp = 1;
  SamplingFlags flags;
  EXPECT_EQ(flags.draft_tokens(config), kMaxDraftTokens) << "auto";
  for (const auto& [text, n] : {std::pair{"off", 0}, {"0", 0}, {"1", 1}, {"7", 7}}) {
    flags.speculate = text;
    EXPECT_EQ(flags.draft_tokens(config), n);
  }
  for (const char* wrong : {"8", "-1", "on", "1.0", ""}) {
    flags.speculate = wrong;
    test::expect_refused<ConfigError>([&] { flags.draft_tokens(config); },
                                      "--speculate: wrong value (");
  }
  // n-grams need no module.
  config.n_mtp = 0;
  flags.speculate = "1";
  EXPECT_EQ(flags.draft_tokens(config), 1);
  flags.draft = "mtp";
  test::expect_refused<ConfigError>([&] { flags.draft_tokens(config); },
                                    "--draft: the model has no MTP module");
  flags.speculate = "auto";
  EXPECT_EQ(flags.draft_tokens(config), 0);
}

TEST(SamplingFlags, DraftNamesTheSource) {
  const auto options_of = [](const char* speculate, const char* draft) {
    ModelConfig config;
    config.n_mtp = 1;
    SamplingFlags flags;
    flags.speculate = speculate;
    flags.draft = draft;
    GenerateOptions options;
    flags.set_drafts(options, config);
    return options;
  };
  EXPECT_EQ(options_of("auto", "auto").draft_from, DraftFrom::kAny);
  EXPECT_TRUE(options_of("auto", "auto").drop_slow_drafts);
  EXPECT_EQ(options_of("2", "mtp").draft_from, DraftFrom::kMtp);
  EXPECT_FALSE(options_of("2", "mtp").drop_slow_drafts);
  EXPECT_EQ(options_of("2", "ngram").draft_from, DraftFrom::kNgram);
  EXPECT_EQ(options_of("2", "ngram").draft_tokens, 2);
}

TEST(SamplingFlags, TheEndOfTextStopsUnlessItIsIgnored) {
  const TextModel model(test::text_model_folder(), 1, Device::kCpu, /*with_mtp=*/false);
  SamplingFlags flags;
  EXPECT_EQ(flags.stop_tokens(model), model.stop_tokens());
  EXPECT_FALSE(flags.stop_tokens(model).empty());
  flags.ignore_eos = true;
  EXPECT_TRUE(flags.stop_tokens(model).empty());
}

}  // namespace
}  // namespace hadal::cli
