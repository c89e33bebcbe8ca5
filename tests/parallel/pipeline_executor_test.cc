#include "hadal/parallel/pipeline_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "hadal/comm/thread_ranks.h"
#include "hadal/schedule/schedule_file.h"
#include "tests/support/pipeline_case.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

ModelConfig layers(int64_t n, int64_t n_mtp = 1) {
  ModelConfig config = odd_config();  // the first layer dense
  config.n_layers = n;
  config.n_mtp = n_mtp;
  return config;
}

struct Kind {
  ScheduleKind kind;
  int32_t stages_of_two_ranks, micro_batches;
};
constexpr Kind kKinds[] = {{ScheduleKind::k1F1B, 2, 5},        {ScheduleKind::kZb1p, 2, 5},
                           {ScheduleKind::kDualPipe, 2, 6},    {ScheduleKind::kDualPipeV, 4, 5},
                           {ScheduleKind::kInterleaved, 4, 5}, {ScheduleKind::kZbv, 4, 5}};

TEST(PipelineExecutor, AllSchedulesWithTwoRanks) {
  ModelConfig tied = layers(4, 2);
  tied.tie_word_embeddings = true;
  ModelConfig pre_norm = layers(5, 2);
  pre_norm.mtp_hidden = MtpHidden::kPreNorm;
  for (const Kind& each : kKinds) {
    for (const ModelConfig& config : {layers(4), tied, pre_norm, layers(5, 0)}) {
      expect_equals_one_rank(
          PipelineCase(config, each.kind, each.stages_of_two_ranks, each.micro_batches));
    }
  }
}

TEST(PipelineExecutor, AllSchedulesWithFourRanks) {
  for (const Kind& each : kKinds) {
    const int32_t n_stages = 2 * each.stages_of_two_ranks;
    expect_equals_one_rank(PipelineCase(layers(n_stages + 1), each.kind, n_stages, 2 * n_stages));
  }
}

TEST(PipelineExecutor, EightRanks) {
  for (const ScheduleKind kind : {ScheduleKind::kDualPipe, ScheduleKind::k1F1B}) {
    expect_equals_one_rank(PipelineCase(layers(8), kind, 8, 16));
  }
}

TEST(PipelineExecutor, ReplicasAndExpertsOverThem) {
  for (const Kind& each : kKinds) {
    PipelineCase of(layers(5), each.kind, each.stages_of_two_ranks, each.micro_batches);
    of.replicas = 2;
    for (const int32_t expert : {1, 2}) {
      of.expert = expert;
      of.what = concat(of.schedule.name, ", 2 replicas, experts over ", expert);
      expect_equals_one_rank(of);
    }
  }
}

TEST(PipelineExecutor, OneRank) {
  expect_equals_one_rank(PipelineCase(layers(3, 2), ScheduleKind::kZb1p, 1, 3));
  expect_equals_one_rank(PipelineCase(layers(4), ScheduleKind::kInterleaved, 2, 3, 2));
}

TEST(PipelineExecutor, StagesWithoutLayersAtTheEnds) {
  PipelineCase of(layers(3), ScheduleKind::kDualPipeV, 4, 4);
  const int64_t ends[] = {0, 0, 2, 3, 3};
  for (size_t s = 0; s < 4; ++s) {
    of.cuts[s].first_layer = ends[s];
    of.cuts[s].last_layer = ends[s + 1];
  }
  expect_equals_one_rank(of);
}

// HADAL_PIPELINE=1000 tries so many, HADAL_PIPELINE_SEED=17 that one alone.
TEST(PipelineExecutor, RandomCases) {
  if (const char* seed = std::getenv("HADAL_PIPELINE_SEED")) {
    return expect_equals_one_rank(PipelineCase::random(std::stoull(seed)));
  }
  const char* wish = std::getenv("HADAL_PIPELINE");
  const uint64_t n = wish ? std::stoull(wish) : 40;
  for (uint64_t seed = 1; seed <= n; ++seed) expect_equals_one_rank(PipelineCase::random(seed));
}

TEST(PipelineExecutor, TwoRunsGiveTheSameBytes) {
  for (const Kind& each : kKinds) {
    const PipelineCase of(layers(4), each.kind, each.stages_of_two_ranks, each.micro_batches);
    const PipelineResult first(of), second(of);
    for (size_t rank = 0; rank < first.ranks.size(); ++rank) {
      EXPECT_EQ(first.ranks[rank]->gradient(), second.ranks[rank]->gradient()) << of.what;
    }
  }
}

// A pair's chunks taking turns or one after the other: the same numbers.
TEST(PipelineExecutor, OverlapChangesNoBit) {
  for (const ScheduleKind kind : {ScheduleKind::kDualPipe, ScheduleKind::kInterleaved}) {
    const PipelineCase of(layers(5, 2), kind, 4, 8);
    const PipelineResult in_turns(of), in_a_row(of, {.overlap = false});
    for (size_t rank = 0; rank < in_turns.ranks.size(); ++rank) {
      EXPECT_EQ(in_turns.totals[rank].loss.ce, in_a_row.totals[rank].loss.ce);
      EXPECT_EQ(in_turns.ranks[rank]->gradient(), in_a_row.ranks[rank]->gradient()) << of.what;
    }
  }
}

// Nothing of a chunk outlives its W.
TEST(PipelineExecutor, KeepsNothingAfterAStep) {
  const PipelineCase of(layers(4), ScheduleKind::kZbv, 4, 5);
  const PipelineResult result(of);
  for (size_t rank = 0; rank < result.ranks.size(); ++rank) {
    EXPECT_EQ(result.ranks[rank]->arena.bytes_in_use(), result.bytes_before[rank]);
  }
}

TEST(PipelineExecutor, AScheduleFromAFile) {
  PipelineCase of(layers(3), ScheduleKind::k1F1B, 2, 2);
  of.schedule = parse_schedule(R"({"name": "all forward first", "n_stages": 2, "n_micro_batches": 2,
    "ranks": [["F 0 1", "F 0 0", "B 0 1", "Bi 0 0", "W 0 0"],
              ["F 1 1", "F 1 0", "Bi 1 1", "B 1 0", "W 1 1"]]})",
                               "two.json");
  of.what = of.schedule.name;
  expect_equals_one_rank(of);
}

// Run by one rank of two: refused before anything is computed.
template <class Change>
void expect_refused_when(const Change& change, const std::string& names) {
  PipelineCase of(layers(4), ScheduleKind::kZb1p, 2, 3);
  change(of);
  Trainee trainee(of.config, 1, 3, 4);
  expect_refused<ConfigError>(
      [&] {
        run_thread_ranks({.n_ranks = 2}, [&](Communicator& comm) {
          if (comm.rank() == 1) return;
          PipelineExecutor executor(of.schedule, of.cuts, comm, trainee.dispatcher);
          const std::vector<MicroBatch> all{trainee.micro_batch(0, 1), trainee.micro_batch(1, 1)};
          executor.run(trainee.ctx, trainee.model, all, kTestWeights);
        });
      },
      names);
}

TEST(PipelineExecutor, RefusesAWeightPartThatIsMissingOrOutOfOrder) {
  const auto weights = [](std::vector<Action>& list) {
    std::vector<size_t> found;
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].kind == ActionKind::kWeight) found.push_back(i);
    }
    return found;
  };
  expect_refused_when(
      [&](PipelineCase& of) {
        std::vector<Action>& list = of.schedule.ranks[1];
        list.erase(list.begin() + static_cast<std::ptrdiff_t>(weights(list).front()));
      },
      "W");
  expect_refused_when(
      [&](PipelineCase& of) {
        std::vector<Action>& list = of.schedule.ranks[0];
        const std::vector<size_t> found = weights(list);
        std::swap(list[found[0]], list[found[1]]);
      },
      "W");
}

TEST(PipelineExecutor, RefusesCutsAndMicroBatchesOfAnotherSchedule) {
  expect_refused_when([](PipelineCase& of) { of.cuts = even_cuts(of.config, 3); },
                      "cuts: not one for every stage");
  expect_refused_when([](PipelineCase& of) { ++of.cuts[1].first_layer; },
                      "cuts: stages do not follow one another");
  expect_refused_when([](PipelineCase& of) { of.cuts[1].heads = false; },
                      "cuts: stages do not follow one another");
  expect_refused_when([](PipelineCase& of) { --of.cuts[1].last_layer; },
                      "cuts: not the layers of the model");
  expect_refused_when([](PipelineCase&) {}, "micro_batches: not those of the schedule");
  expect_refused_when(
      [](PipelineCase& of) {
        of.schedule = make_schedule(ScheduleKind::k1F1B, 3, 3);
        of.cuts = even_cuts(of.config, 3);
      },
      "schedule: 1f1b is for another number of ranks");
}

}  // namespace
}  // namespace hadal::test
