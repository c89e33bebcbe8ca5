// The files in recipes/: each is a run that could begin, the published one says what was published, and
// the smallest is trained to its end.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/io/path_status.h"
#include "hadal/model/checkpoint.h"
#include "hadal/train/phases.h"
#include "hadal/train/run_plan.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

const std::string kRecipes = std::string(HADAL_GOLDEN_DIR) + "/../../recipes";

TrainConfig recipe(const std::string& name, std::vector<std::string> set = {}) {
  set.push_back("train.out=run");
  return read_train_config(kRecipes + "/" + name, set);
}

TEST(Recipes, EachBeginsWithCommentsAndCouldBegin) {
  int found = 0;
  for (const std::string& name : entry_names(kRecipes)) {
    if (!name.ends_with(".toml")) continue;
    ++found;
    SCOPED_TRACE(name);
    EXPECT_TRUE(read_text_file(kRecipes + "/" + name).starts_with("# "));
    // Text and, for one that goes on, the model are the caller's.
    TrainConfig config = recipe(name);
    config.data.paths.resize(
        std::max<size_t>({1, config.data.shares.size(), config.data.paths.size()}), "text");
    config.validate();
    if (config.model.preset.empty()) continue;
    for (int64_t phase = 0; phase < n_phases(config); ++phase) {
      const TrainConfig now = config_of_phase(config, phase);
      EXPECT_GE(model_shape(now, 0).max_position_embeddings, now.train.seq_len);
    }
  }
  EXPECT_GE(found, 4);
}

// Report sections 4.2 and 4.3, number by number, at the tokens where something changes.
TEST(Recipes, DeepSeekV3IsWhatWasPublished) {
  const TrainConfig config = recipe("deepseek-v3.toml");
  const RunPlan plan(config);
  EXPECT_EQ(plan.planned_tokens(), 14'800'000'000'000);
  const auto rate = [&](double tokens) {
    return learning_rate(plan.learning_rates(), {300'000, static_cast<int64_t>(tokens), 0});
  };
  EXPECT_DOUBLE_EQ(learning_rate(plan.learning_rates(), {999, 1, 0}), 1.1e-4);  // half the warm-up
  EXPECT_DOUBLE_EQ(rate(10e12 - 1), 2.2e-4);
  EXPECT_NEAR(rate(12.15e12), (2.2e-4 + 2.2e-5) / 2, 1e-10);
  EXPECT_NEAR(rate(14.3e12), 2.2e-5, 1e-12);
  EXPECT_NEAR(rate(14.633e12 - 1), 2.2e-5, 1e-12);
  EXPECT_NEAR(rate(14.633e12), 7.3e-6, 1e-12);
  EXPECT_EQ(batch_sequences(batch_ramp(config), 0), 3072);
  EXPECT_EQ(batch_sequences(batch_ramp(config), 234'500'000'000), (3072 + 15360) / 2);
  EXPECT_EQ(batch_sequences(batch_ramp(config), 469'000'000'000), 15360);
  EXPECT_EQ(config.model.init_std, 0.006);
  const ModelConfig shape = model_shape(config, 0);
  EXPECT_FALSE(shape.yarn.has_value());
  EXPECT_EQ(shape.max_position_embeddings, 4096);
  EXPECT_EQ(config.loss.mtp_weight, 0.3);
  EXPECT_EQ(config.loss.balance_alpha, 1e-4);
  EXPECT_EQ(config.optimizer.clip_norm, 1.0);
  const TrainConfig longer = config_of_phase(config, 1), longest = config_of_phase(config, 2);
  EXPECT_EQ(longer.train.seq_len * longer.train.batch_sequences * longer.train.steps,
            62'914'560'000);
  EXPECT_EQ(longest.train.seq_len, 131072);
  EXPECT_EQ(longest.train.batch_sequences, 480);
  EXPECT_EQ(longest.train.steps, 1000);
  for (const TrainConfig& phase : {longer, longest}) {
    EXPECT_EQ(model_shape(phase, 0).yarn, YarnConfig{});  // the published checkpoint's
    EXPECT_EQ(model_shape(phase, 0).max_position_embeddings, 163840);
    EXPECT_NEAR(phase.optimizer.learning_rate, 7.3e-6, 1e-12);
    EXPECT_EQ(phase.optimizer.tail_share, 1.0);
    EXPECT_EQ(phase.loss.mtp_weight, 0.1);
    EXPECT_EQ(phase.loss.bias_gamma, 0.0);
  }
  EXPECT_EQ(model_shape(longest, 0), find_preset("deepseek-v3").config);
}

// The twins have V3's schedules: the same boundaries as shares of their tokens.
TEST(Recipes, TheTwinsHaveTheSameShape) {
  const TrainConfig published = recipe("deepseek-v3.toml");
  const auto shares = [](const TrainConfig& c) {
    const auto tokens = static_cast<double>(c.train.tokens);
    const LearningRateSchedule rates = learning_rate_schedule(c, c.train.tokens);
    const auto of = [tokens](int64_t boundary) { return static_cast<double>(boundary) / tokens; };
    return std::vector<double>{of(rates.constant_until_tokens),  of(rates.decay_until_tokens),
                               of(rates.tail_until_tokens),      of(c.loss.mtp_late_from_tokens),
                               of(c.loss.bias_late_from_tokens), of(c.train.batch_ramp_tokens)};
  };
  const std::vector<double> expected = shares(published);
  for (const char* name : {"deepseek-v3-nano.toml", "deepseek-v3-tiny.toml"}) {
    const TrainConfig twin = recipe(name);
    const std::vector<double> found = shares(twin);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-3) << name;
    ASSERT_EQ(n_phases(twin), n_phases(published));
    for (int64_t phase = 1; phase < 3; ++phase) {
      EXPECT_EQ(config_of_phase(twin, phase).train.seq_len / twin.train.seq_len,
                config_of_phase(published, phase).train.seq_len / published.train.seq_len);
      EXPECT_EQ(model_shape(config_of_phase(twin, phase), 0).yarn->factor, 40.0);
    }
  }
}

TEST(Recipes, TheSmallestIsTrainedToItsEnd) {
  const test::SmallRun run;  // for its text
  const test::TemporaryFolder folder;
  const TrainConfig config =
      recipe("deepseek-v3-tiny.toml", {"data.paths=" + run.path("text-*.txt"), "data.fim_rate=0.1",
                                       "data.cache_dir=" + folder / "cache"});
  TrainConfig here = config;
  here.train.out = folder / "run";
  ThreadPool pool(2);
  Arena arena;
  Context ctx{pool, arena};
  const Json end = pretrain(ctx, here, false);
  EXPECT_TRUE(end.at("val_loss").is_number());
  const ModelConfig shape = load_config(folder / "run/latest");
  EXPECT_EQ(shape.max_position_embeddings, 1280);
  EXPECT_EQ(shape.yarn->original_max_position, 32);
}

}  // namespace
}  // namespace hadal
