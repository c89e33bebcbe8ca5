// Runs on ranks that are threads, against the same run on one rank.
#include "hadal/train/spread_run.h"

#include <gmock/gmock.h>

#include <sys/resource.h>

#include <csignal>

#include "hadal/comm/thread_ranks.h"
#include "hadal/core/error.h"
#include "hadal/io/path_status.h"
#include "hadal/io/safetensors.h"
#include "hadal/train/metrics.h"
#include "hadal/train/team_trainer.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

const std::vector<std::string> kCut = {"train.micro_batch_sequences=1"};

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class SpreadRunTest : public testing::Test {
 protected:
  Json train(const std::string& name, const std::vector<std::string>& set, bool resume = false) {
    const TrainConfig config = run_.config(name, joined(kCut, set));
    return pretrain_spread(plan_spread(config, 2), config, resume);
  }
  // {step, loss} of every step.
  std::vector<std::pair<int64_t, double>> losses(const std::string& name) {
    std::vector<std::pair<int64_t, double>> result;
    for (const Json& line : read_metrics(run_.path(name), 1000)) {
      if (const Json* loss = line.find("train/loss")) {
        result.emplace_back(line.at("step").as_integer(), loss->as_number());
      }
    }
    return result;
  }
  void expect_as_alone(const std::string& name) {
    if (!path_exists(run_.path("alone"))) run_.train("alone", kCut);
    const auto alone = losses("alone"), spread = losses(name);
    ASSERT_EQ(alone.size(), spread.size());
    EXPECT_EQ(alone[0].second, spread[0].second) << "the first loss, to the last bit";
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_NEAR(alone[i].second, spread[i].second, 2e-6) << "step " << alone[i].first;
    }
  }
  test::SmallRun run_;
};

// No file of this process grows beyond so many bytes.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, SIG_IGN);  // write() says so instead
    const rlimit less{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &less);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
};

struct Layout {
  std::string name;
  std::vector<std::string> set;
};
const std::vector<Layout> kLayouts = {
    {"replicas", {"parallel.data=4"}},
    {"experts", {"parallel.data=2", "parallel.expert=2"}},
    {"nodes", {"parallel.data=2", "parallel.expert=2", "parallel.route=nodes"}},
    {"1f1b", {"parallel.pipeline=2"}},
    {"zb1p", {"parallel.pipeline=2", "parallel.schedule=zb1p"}},
    {"dualpipe", {"parallel.pipeline=2", "parallel.schedule=dualpipe"}},
    {"uneven",
     {"parallel.pipeline=2", "parallel.schedule=dualpipe", "parallel.layers_of_stages=[0, 2]"}},
    {"all", {"parallel.pipeline=2", "parallel.data=2", "parallel.expert=2"}},
};

TEST_F(SpreadRunTest, LosesNothingAgainstOneRank) {
  for (const Layout& layout : kLayouts) {
    SCOPED_TRACE(layout.name);
    const Json summary = train(layout.name, layout.set);
    EXPECT_EQ(summary.at("step").as_integer(), 8);
    expect_as_alone(layout.name);
  }
}

TEST_F(SpreadRunTest, EvaluatesAsOneRank) {
  const Json alone = run_.train("alone", kCut);
  const Json spread = train("all", kLayouts.back().set);
  EXPECT_NEAR(alone.at("val_loss").as_number(), spread.at("val_loss").as_number(), 2e-6);
  EXPECT_EQ(alone.at("mtp_acceptance").dump(), spread.at("mtp_acceptance").dump());
}

// More batches than replicas, and one that no replica is left for.
TEST(SpreadEvaluation, EveryBatchCountsOnce) {
  test::SmallRun run;
  TrainConfig config = run.config("run", joined(kCut, {"parallel.data=2", "parallel.expert=2"}));
  ModelConfig shape = model_shape(config, 300);
  std::vector<HeldOutBatch> held_out;
  for (const uint64_t seed : {1, 2, 3}) {
    held_out.push_back({test::small_batch(2, 24, seed), static_cast<int64_t>(100 * seed)});
  }
  Arena arenas[2];
  ThreadPool pool(1);
  Context alone_ctx{pool, arenas[0]};
  LocalTrainer alone(alone_ctx);
  alone.begin(run.config("alone", kCut), shape, {});
  alone.remake_working_weights();
  const Evaluation expected = alone.evaluate(held_out);
  Evaluation found;
  run_thread_ranks({.n_ranks = 2}, [&](Communicator& world) {
    ThreadPool own(1);
    Context ctx{own, arenas[world.rank()]};
    if (world.rank() != 0) return follow(ctx, world);
    TeamTrainer trainer(ctx, world);
    trainer.begin(config, shape, {});
    found = trainer.evaluate(held_out);
    trainer.end();
  });
  EXPECT_EQ(expected.loss, found.loss);
  EXPECT_EQ(expected.tokens, found.tokens);
  EXPECT_EQ(expected.bytes, found.bytes);
  EXPECT_EQ(expected.mtp_acceptance, found.mtp_acceptance);
}

// The largest difference between the weights of two folders.
float largest_difference(const std::string& a, const std::string& b) {
  const TensorSource one = TensorSource::open(a), other = TensorSource::open(b);
  float largest = 0.0F;
  for (const auto& [name, entry] : one.entries()) {
    const Tensor x = one.tensor(entry), y = other.tensor(*other.find(name));
    for (int64_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<size_t>(i);
      largest = std::max(largest, std::abs(x.flat<float>()[at] - y.flat<float>()[at]));
    }
  }
  return largest;
}

TEST_F(SpreadRunTest, TheAverageIsSavedAsOnOneRank) {
  for (const char* precision : {"fp32", "fp8"}) {
    SCOPED_TRACE(precision);
    const std::string alone = concat("ema-alone-", precision), spread = concat("ema-", precision);
    const std::vector<std::string> set = {concat("precision.compute=", precision),
                                          "optimizer.ema_decay=0.9", "checkpoint.dtype=f32"};
    run_.train(alone, joined(kCut, set));
    train(spread, joined(kLayouts.back().set, set));
    const std::string averages[] = {run_.path(alone) + "/ema", run_.path(spread) + "/ema"};
    const float moved = largest_difference(averages[0], test::step_folder(run_, alone, 8));
    EXPECT_LT(largest_difference(averages[0], averages[1]), 0.3F * moved);
  }
}

TEST_F(SpreadRunTest, GoesOnBitForBit) {
  for (const char* precision : {"fp32", "fp8"}) {
    SCOPED_TRACE(precision);
    const std::string whole = concat("whole-", precision), cut = concat("cut-", precision);
    const auto set = joined(kLayouts.back().set,
                            {concat("precision.compute=", precision), "optimizer.ema_decay=0.9"});
    train(whole, set);
    test::copy_as_killed_after(run_, whole, cut, 4);
    train(cut, set, /*resume=*/true);
    EXPECT_THAT(
        test::differing_files(test::step_folder(run_, whole, 8), test::step_folder(run_, cut, 8)),
        testing::IsEmpty());
    EXPECT_THAT(test::differing_files(run_.path(whole) + "/ema", run_.path(cut) + "/ema"),
                testing::IsEmpty());
  }
}

// A checkpoint of any layout, without another step, is the same model and state at any other.
TEST_F(SpreadRunTest, ACheckpointFitsEveryLayout) {
  const std::vector<std::string> ema = {"optimizer.ema_decay=0.9"};
  train("from", joined(kLayouts.back().set, ema));
  const auto model = [&](const std::string& name, int64_t step) {
    return test::step_folder(run_, name, step) + "/model.safetensors";
  };
  for (const Layout& layout : kLayouts) {
    SCOPED_TRACE(layout.name);
    test::copy_as_killed_after(run_, "from", layout.name, 4);
    const std::vector<std::string> there = joined(
        {"parallel.pipeline=1", "parallel.data=1", "parallel.expert=1", "parallel.schedule=1f1b"},
        joined(layout.set, ema));
    train(layout.name, there, /*resume=*/true);
    const auto a = losses("from"), b = losses(layout.name);
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(a[4].second, b[4].second) << "the first loss from the checkpoint, to the last bit";
  }
  // And on one rank, by the trainer that knows no others.
  test::copy_as_killed_after(run_, "from", "one", 4);
  run_.train(
      "one",
      joined(joined(kCut, ema), {"parallel.pipeline=1", "parallel.data=1", "parallel.expert=1"}),
      /*resume=*/true);
  EXPECT_EQ(losses("from")[4].second, losses("one")[4].second);
  EXPECT_TRUE(path_exists(model("one", 8)));
}

TEST_F(SpreadRunTest, TwoRunsAreTheSameBytes) {
  train("first", kLayouts.back().set);
  train("second", kLayouts.back().set);
  EXPECT_THAT(test::differing_files(test::step_folder(run_, "first", 8),
                                    test::step_folder(run_, "second", 8)),
              testing::IsEmpty());
}

// What cannot be written ends all ranks with one error, and the checkpoint before stays.
TEST_F(SpreadRunTest, AnErrorEndsAllRanks) {
  train("run", joined(kLayouts.back().set, {"train.steps=4"}));
  const FullDisk disk(64 * 1024);  // less than the model's file
  EXPECT_THAT([&] { train("run", joined(kLayouts.back().set, {"train.steps=8"}), true); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("model.safetensors")));
  EXPECT_EQ(checkpoint_steps(run_.path("run") + "/checkpoints"), std::vector<int64_t>{4});
}

// repeat, replay and reproduce compute on one rank: a run of several is not quietly another one there.
TEST_F(SpreadRunTest, IsRefusedByTheTrainerOfOneRank) {
  EXPECT_THAT([&] { run_.train("alone", joined(kCut, {"parallel.data=2"})); },
              testing::ThrowsMessage<ConfigError>(
                  testing::HasSubstr("parallel.data: this command computes on one rank")));
}

TEST_F(SpreadRunTest, WhatOnlyOneRankMeasuresIsRefused) {
  EXPECT_THAT(
      [&] {
        train("layers", {"parallel.data=2", "log.layers_every_steps=1"});
      },
      testing::ThrowsMessage<ConfigError>(
          testing::HasSubstr("log.layers_every_steps: needs a run on one rank")));
  EXPECT_FALSE(path_exists(run_.path("layers")));
}

}  // namespace
}  // namespace hadal
