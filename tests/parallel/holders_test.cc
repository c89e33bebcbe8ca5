// Who holds what, against asking every rank.
#include "hadal/parallel/holders.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/random_model.h"

namespace hadal::test {
namespace {

struct Layout {
  ScheduleKind schedule;
  int32_t n_stages, data, expert;
  bool tied = false;
};

ModelConfig model_of(const Layout& layout) {
  ModelConfig config = two_mtp_config();
  config.n_layers = 9;  // uneven over 2, 4 and 8 stages
  config.tie_word_embeddings = layout.tied;
  return config;
}

std::vector<Layout> all_layouts() {
  std::vector<Layout> all;
  for (const ScheduleKind kind :
       {ScheduleKind::k1F1B, ScheduleKind::kZb1p, ScheduleKind::kDualPipe, ScheduleKind::kDualPipeV,
        ScheduleKind::kInterleaved, ScheduleKind::kZbv}) {
    for (const int32_t n_stages : {2, 4, 8}) {
      for (const auto& [data, expert] : {std::pair{1, 1}, {2, 1}, {2, 2}, {4, 2}, {8, 4}}) {
        for (const bool tied : {false, true}) all.push_back({kind, n_stages, data, expert, tied});
      }
    }
  }
  all.push_back({ScheduleKind::k1F1B, 1, 4, 2});
  return all;
}

class HoldersTest : public ::testing::Test {
 protected:
  // Asks every rank's model for its names.
  static std::vector<std::vector<int>> asked(const ParallelConfig& config, const CutModel& model,
                                             size_t n_params) {
    std::vector<std::vector<int>> holders(n_params);
    for (int rank = 0; rank < config.n_ranks(); ++rank) {
      Arena arena;
      DeepseekV3 held = make_model(model.config, arena, part_of_rank(config, model, rank));
      for (const NamedParam& each : named_params(held)) {
        holders[static_cast<size_t>(each.position)].push_back(rank);
      }
    }
    return holders;
  }
};

TEST_F(HoldersTest, AreTheRanksWhoseModelsHaveTheParameter) {
  for (const Layout& layout : all_layouts()) {
    const ModelConfig shape = model_of(layout);
    const PipelineSchedule schedule = make_schedule(layout.schedule, layout.n_stages, 16);
    const std::vector<StageCut> cuts = even_cuts(shape, layout.n_stages);
    const ParallelConfig config{.pipeline = schedule.n_ranks,
                                .data = layout.data,
                                .expert = layout.expert,
                                .schedule = layout.schedule};
    const CutModel model{shape, schedule, cuts};
    const Holders holders = holders_of(config, model);
    const std::vector<std::vector<int>> want = asked(config, model, holders.group_of.size());
    const std::string name = concat(schedule.name, " ", layout.n_stages, " stages, data ",
                                    layout.data, ", expert ", layout.expert);
    Arena arena;
    DeepseekV3 shapes = make_model(shape, arena);
    const std::vector<NamedParam> params = named_params(shapes);
    ASSERT_EQ(params.size(), holders.group_of.size());
    std::vector<int> counted(params.size());
    for (const NamedParam& each : params) {
      ASSERT_EQ(holders.of(each.position), want[static_cast<size_t>(each.position)])
          << name << ": " << each.name;
      ASSERT_FALSE(holders.of(each.position).empty()) << name << ": " << each.name;
      for (int rank = 0; rank < config.n_ranks(); ++rank) {
        counted[static_cast<size_t>(each.position)] += holders.first_of(each.position) == rank;
      }
    }
    EXPECT_EQ(std::ranges::count(counted, 1), std::ssize(counted)) << name;
    EXPECT_EQ(std::set(holders.groups.begin(), holders.groups.end()).size(), holders.groups.size())
        << name;
  }
}

// By hand: 4 stages over 4 places, 4 replicas in 2 groups of experts.
TEST_F(HoldersTest, OfDualPipeByHand) {
  ModelConfig shape = odd_config();  // a dense layer, two with experts, one MTP module
  shape.n_layers = 4;
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipe, 4, 8);
  const std::vector<StageCut> cuts = even_cuts(shape, 4);
  const ParallelConfig config{
      .pipeline = 4, .data = 4, .expert = 2, .schedule = ScheduleKind::kDualPipe};
  const Holders holders = holders_of(config, {shape, schedule, cuts});
  Arena arena;
  DeepseekV3 shapes = make_model(shape, arena);
  const auto of = [&](const std::string& name) {
    for (const NamedParam& each : named_params(shapes)) {
      if (each.name == name) return holders.of(each.position);
    }
    return std::vector<int>{};
  };
  const std::vector<int> ends = {0, 1, 2, 3, 12, 13, 14, 15};
  EXPECT_EQ(of("model.embed_tokens.weight"), ends);
  EXPECT_EQ(of("lm_head.weight"), ends);
  EXPECT_EQ(of("model.layers.4.eh_proj.weight"), ends);
  const std::vector<int> middle = {4, 5, 6, 7, 8, 9, 10, 11};
  EXPECT_EQ(of("model.layers.1.mlp.gate.weight"), middle);
  EXPECT_EQ(of("model.layers.1.mlp.experts.3.up_proj.weight"), std::vector<int>({4, 6, 8, 10}));
  EXPECT_EQ(of("model.layers.2.mlp.experts.4.up_proj.weight"), std::vector<int>({5, 7, 9, 11}));
}

TEST_F(HoldersTest, EmbeddingOfAPipelineThatRunsOneWay) {
  ModelConfig shape = odd_config();
  shape.n_mtp = 0;
  const PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 3, 3);
  const ParallelConfig config{.pipeline = 3, .data = 2};
  const auto holders = [&] {
    const std::vector<StageCut> cuts = even_cuts(shape, 3);
    return holders_of(config, {shape, schedule, cuts}).of(0);
  };
  EXPECT_EQ(holders(), std::vector<int>({0, 1}));
  shape.tie_word_embeddings = true;
  EXPECT_EQ(holders(), std::vector<int>({0, 1, 4, 5}));
  shape.tie_word_embeddings = false;
  shape.n_mtp = 1;
  EXPECT_EQ(holders(), std::vector<int>({0, 1, 4, 5}));
}

}  // namespace
}  // namespace hadal::test
