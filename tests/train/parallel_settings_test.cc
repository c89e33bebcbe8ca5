#include "hadal/train/parallel_settings.h"

#include <gmock/gmock.h>

#include "hadal/core/error.h"
#include "hadal/model/config.h"

namespace hadal {
namespace {

TrainConfig eight_sequences() {
  TrainConfig config;
  config.model.preset = "nano";
  config.train.batch_sequences = 8;
  config.train.micro_batch_sequences = 1;
  return config;
}
ModelConfig nano() { return find_preset("nano").config; }

std::string refused(const TrainConfig& config, int started) {
  try {
    parallel_layout(config, nano(), started);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ParallelLayout, IsOneRankUnlessAskedFor) {
  EXPECT_EQ(parallel_layout(eight_sequences(), nano(), 0).n_ranks(), 1);
}

TEST(ParallelLayout, ReplicasAreWhatTheStartedRanksLeave) {
  TrainConfig config = eight_sequences();
  EXPECT_EQ(parallel_layout(config, nano(), 4).data, 4);
  config.parallel.pipeline = 2;
  EXPECT_EQ(parallel_layout(config, nano(), 4).data, 2);
}

TEST(ParallelLayout, WithoutALauncherTheSettingsSayHowManyThereAre) {
  TrainConfig config = eight_sequences();
  config.parallel.pipeline = 2;
  config.parallel.expert = 2;
  EXPECT_EQ(parallel_layout(config, nano(), 0).n_ranks(), 4);
}

TEST(ParallelLayout, RefusesRanksThatDoNotFit) {
  TrainConfig config = eight_sequences();
  config.parallel.pipeline = 2;
  config.parallel.data = 2;
  EXPECT_THAT(refused(config, 3),
              testing::HasSubstr("parallel.data: the layout does not fit the ranks that were "
                                 "started (found pipeline 2 x data 2 = 4, expected 3)"));
  config.parallel.data = 0;
  EXPECT_THAT(refused(config, 3), testing::HasSubstr("parallel.pipeline: does not divide"));
}

TEST(ParallelLayout, RefusesMoreStagesThanLayers) {
  TrainConfig config = eight_sequences();
  config.parallel.pipeline = static_cast<int64_t>(nano().n_layers) + 1;
  EXPECT_THAT(refused(config, 0), testing::HasSubstr("more stages than layers"));
}

TEST(ParallelLayout, StagesHaveTheLayersThatTheyAreGiven) {
  TrainConfig config = eight_sequences();
  config.parallel.pipeline = 2;
  std::vector<StageCut> cuts = stage_cuts(parallel_layout(config, nano(), 0), nano());
  EXPECT_EQ(cuts[0].n_layers(), 2) << "even by themselves";
  config.parallel.layers_of_stages = {3, 1};
  cuts = stage_cuts(parallel_layout(config, nano(), 0), nano());
  ASSERT_EQ(cuts.size(), 2u);
  EXPECT_EQ(cuts[0].last_layer, 3);
  EXPECT_EQ(cuts[1].first_layer, 3);
  EXPECT_EQ(cuts[1].last_layer, 4);
  EXPECT_TRUE(cuts[0].embedding && cuts[1].heads);
  EXPECT_FALSE(cuts[0].heads || cuts[1].embedding);
}

TEST(ParallelLayout, RefusesLayersThatAreNotTheModels) {
  TrainConfig config = eight_sequences();
  config.parallel.pipeline = 2;
  config.parallel.layers_of_stages = {3, 2};
  EXPECT_THAT(refused(config, 0),
              testing::HasSubstr("parallel.layers_of_stages: not the layers of the model "
                                 "(found 5 in all, expected 4"));
  config.parallel.layers_of_stages = {1, 2, 1};
  EXPECT_THAT(refused(config, 0),
              testing::HasSubstr("parallel.layers_of_stages: one number for every stage "
                                 "(found 3 numbers, expected 2 stages"));
  for (const double wrong : {1.5, -1.0}) {
    config.parallel.layers_of_stages = {4 - wrong, wrong};
    EXPECT_THAT(
        [&] { validate_parallel(config); },
        testing::ThrowsMessage<ConfigError>(testing::HasSubstr("a stage has whole layers")));
  }
}

TEST(ParallelLayout, RefusesExpertsThatDoNotDivide) {
  TrainConfig config = eight_sequences();
  config.parallel.expert = 3;
  config.train.batch_sequences = 9;
  EXPECT_THAT(refused(config, 0), testing::HasSubstr("parallel.expert: every rank holds the same"));
  config.parallel.expert = 2;
  EXPECT_THAT(refused(config, 3), testing::HasSubstr("whole groups of replicas"));
}

TEST(ParallelLayout, TokensGoByNodesWhereThatSavesSomething) {
  EXPECT_TRUE(goes_by_nodes("auto", {0, 0, 1, 1}));
  EXPECT_FALSE(goes_by_nodes("auto", {0, 0, 0, 0})) << "one host";
  EXPECT_FALSE(goes_by_nodes("auto", {0, 1, 2, 3})) << "nobody to hand on to";
  EXPECT_FALSE(goes_by_nodes("auto", {0, 0, 0, 1})) << "no rank with the same index";
  EXPECT_FALSE(goes_by_nodes("flat", {0, 0, 1, 1}));
  EXPECT_TRUE(goes_by_nodes("nodes", {0, 0}));
}

TEST(ParallelLayout, RefusesBatchesThatDoNotCut) {
  TrainConfig config = eight_sequences();
  EXPECT_THAT(refused(config, 3),
              testing::HasSubstr("train.batch_sequences: does not cut into equal"));
  config.parallel.pipeline = 2;
  config.parallel.schedule = "dualpipe";
  config.train.batch_sequences = 2;
  EXPECT_THAT(refused(config, 2),
              testing::HasSubstr("too few micro-batches for the schedule dualpipe"));
}

TEST(ParallelLayout, AGrowingBatchIsWholeForEveryReplicaAtEverySize) {
  TrainConfig config = eight_sequences();
  config.train.batch_ramp_start_sequences = 2;
  config.train.batch_ramp_tokens = 100'000;
  EXPECT_THAT(refused(config, 2), testing::HasSubstr("parallel.data: a batch that grows"));
  config.parallel.data = 2;
  const ParallelConfig layout = parallel_layout(config, nano(), 2);
  for (int64_t tokens = 0; tokens < 100'000; tokens += 7'000) {
    const int64_t n = batch_sequences(batch_ramp(config), tokens);
    EXPECT_EQ(n, 2 * replica_micro_batches(config, layout, n)) << tokens;
  }
}

}  // namespace
}  // namespace hadal
