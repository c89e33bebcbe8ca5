// Whole experiments, from text to page, in a few steps a run.
#include "hadal/reproduce/runner.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/interrupt.h"
#include "hadal/io/path_status.h"
#include "hadal/reproduce/page.h"
#include "hadal/reproduce/train_runs.h"
#include "hadal/train/pretrain.h"
#include "tests/support/generated_text.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

class Reproduce : public ::testing::Test {
 protected:
  Reproduce() {
    for (const char* kind : {"a", "b"}) {
      fs::create_directories(folder_ / "text" + "/" + kind);
      for (uint64_t i = 0; i < 12; ++i) {
        folder_.write(concat("text/", kind, "/", i, ".txt"),
                      test::generated_text(i + (*kind == 'a' ? 0U : 50U), 400));
      }
    }
    options_.out = folder_ / "out";
    options_.seeds = 2;
    options_.effort.quick = true;
    options_.effort.text = {folder_ / "text"};
    options_.effort.cache_dir = folder_ / "cache";
  }
  Json reproduced(const std::string& name) {
    return reproduce(
        ctx_, find_experiment(name), options_,
        {.date = "2026-01-31", .machine = "a machine", .version = "1", .command = "c"});
  }
  std::vector<std::string> runs() const { return entry_names(options_.out + "/runs"); }

  test::TemporaryFolder folder_;
  ThreadPool pool_{1};
  Arena arena_;
  Context ctx_{pool_, arena_};
  ReproduceOptions options_;
};

TEST_F(Reproduce, TheHashIsThatOfWhatARunComputes) {
  TrainConfig config = find_experiment("mtp").training(options_.effort, "depth 1");
  const std::string hash = settings_hash(config);
  TrainConfig moved = config;
  moved.train.out = "/elsewhere";
  moved.data.cache_dir = "/elsewhere too";
  EXPECT_EQ(settings_hash(moved), hash);
  TrainConfig seeded = config, split = config, shaped = config;
  seeded.train.seed = 1;
  split.train.micro_batch_sequences = 1;
  shaped.model.overrides["hidden_size"] = 32;
  for (const TrainConfig& other : {seeded, split, shaped}) EXPECT_NE(settings_hash(other), hash);
}

TEST_F(Reproduce, WritesAPageFromEveryRun) {
  const Json result = reproduced("loss-free-balance");
  // Three variants with two seeds, and one in another order of summation.
  EXPECT_EQ(result.at("runs").as_array().size(), 7U);
  EXPECT_EQ(runs().size(), 7U);
  const Json& again = result.at("runs").as_array().back();
  EXPECT_TRUE(again.at("other_order").as_bool());
  for (const Json& run : result.at("runs").as_array()) {
    EXPECT_TRUE(run.at("figures").at("val_loss").is_number());
    EXPECT_TRUE(fs::exists(options_.out + "/runs/" + run.at("run").as_string() + "/run.toml"));
  }
  EXPECT_EQ(parse_json_file(options_.out + "/loss-free-balance.json"), result);
  const std::string page = read_text_file(options_.out + "/loss-free-balance.md");
  for (const char* part : {"**Published:**", "0.724 against 0.727", "a machine", "hadal 1",
                           "other order of sums", "loss-free-balance.svg"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  EXPECT_NE(read_text_file(options_.out + "/loss-free-balance.svg").find("</svg>"),
            std::string::npos);
}

TEST_F(Reproduce, FinishedRunsAreKept) {
  options_.seeds = 1;
  const Json first = reproduced("mtp");
  std::map<std::string, fs::file_time_type> written;
  for (const std::string& run : runs()) {
    written[run] = fs::last_write_time(options_.out + "/runs/" + run + "/metrics.jsonl");
  }
  options_.seeds = 2;  // more seeds need no permission to go on: nothing of theirs is there
  const Json second = reproduced("mtp");
  EXPECT_EQ(runs().size(), 7U);
  for (const auto& [run, time] : written) {
    EXPECT_EQ(fs::last_write_time(options_.out + "/runs/" + run + "/metrics.jsonl"), time);
  }
  EXPECT_EQ(second.at("runs").as_array()[0], first.at("runs").as_array()[0]);
}

// As if the process had died before it could say that a run was finished.
TEST_F(Reproduce, AnUnfinishedRunGoesOnOnlyIfAskedTo) {
  options_.seeds = 1;
  const Json whole = reproduced("mtp");
  fs::remove(options_.out + "/runs/" + runs().front() + "/summary.json");
  const Refusal refusal = test::refusal_of([&] { reproduced("mtp"); });
  EXPECT_NE(refusal.place.find(runs().front()), std::string::npos);
  options_.resume = true;
  EXPECT_EQ(reproduced("mtp"), whole);
}

TEST_F(Reproduce, RunsBesideEachOtherHaveTheBytesOfRunsInTurn) {
  options_.seeds = 1;
  const Json in_turn = reproduced("fp8-vs-bf16");
  const std::vector<std::string> names = runs();
  options_.out = folder_ / "beside";
  options_.jobs = 2;
  EXPECT_EQ(reproduced("fp8-vs-bf16"), in_turn);
  ASSERT_EQ(names.size(), 3U);
  EXPECT_EQ(runs(), names);
  for (const std::string& run : names) {
    const std::string state = "/runs/" + run + "/latest/training_state.safetensors";
    EXPECT_EQ(read_text_file(folder_ / "out" + state), read_text_file(options_.out + state));
  }
  const auto refused_on = [&](Device device) {
    Context other{pool_, arena_, device};
    return test::refusal_of(
               [&] { run_experiment(other, find_experiment("fp8-vs-bf16"), options_); })
        .field;
  };
  EXPECT_EQ(refused_on(Device::kReference), "jobs");
  options_.jobs = 0;
  EXPECT_EQ(refused_on(Device::kCpu), "jobs");
}

// A failure beside others is not lost, and what they finished stays.
TEST_F(Reproduce, AFailureBesideOtherRunsIsTold) {
  options_.seeds = 1;
  options_.jobs = 2;
  reproduced("mtp");
  const std::string unfinished = runs().front();
  fs::remove(options_.out + "/runs/" + unfinished + "/summary.json");
  const Refusal refusal = test::refusal_of([&] { reproduced("mtp"); });
  EXPECT_NE(refusal.place.find(unfinished), std::string::npos);
  EXPECT_EQ(runs().size(), 4U);
}

// The curve of differences is FP8's from BF16 of the same seed, and BF16's from its own other order.
TEST_F(Reproduce, DrawsTheDifferenceOfPrecisions) {
  const std::vector<Outcome> outcomes =
      run_experiment(ctx_, find_experiment("fp8-vs-bf16"), options_);
  for (const Outcome& each : outcomes) {
    const bool drawn = !each.other_order && (each.variant == "FP8" || each.seed == 0);
    ASSERT_EQ(each.curves.contains("difference"), drawn) << each.variant << " " << each.seed;
    if (!drawn) continue;
    for (const Outcome& base : outcomes) {
      const bool wanted = each.variant == "FP8" ? !base.other_order : base.other_order;
      if (base.variant != "BF16" || base.seed != each.seed || !wanted) continue;
      const double ratio =
          each.variant == "FP8"
              ? each.figures.at("smoothed_loss") / base.figures.at("smoothed_loss")
              : base.figures.at("smoothed_loss") / each.figures.at("smoothed_loss");
      EXPECT_NEAR(each.curves.at("difference").y.back(), 100.0 * (ratio - 1.0), 1e-9);
    }
  }
}

TEST_F(Reproduce, ExperimentsOnGradientsShareOneRun) {
  options_.seeds = 1;
  for (const char* name : {"blockwise-gradient", "e4m3-vs-e5m2-backward", "scale-kind"}) {
    reproduced(name);
  }
  EXPECT_EQ(runs().size(), 1U);
}

// One pre-training for all variants, and each of them as if it had done it by itself.
TEST_F(Reproduce, LaterPhasesBeginBehindOnePretraining) {
  options_.seeds = 1;
  for (uint64_t i = 0; i < 12; ++i) {  // long enough for 32 rows
    folder_.write(concat("long/", i, ".txt"), test::generated_text(i, 3000));
  }
  options_.effort.text = {folder_ / "long"};
  const Experiment& e = find_experiment("context-extension");
  const Json result = reproduced("context-extension");
  std::map<std::string, std::string> run_of;
  for (const Json& run : result.at("runs").as_array()) {
    if (run.at("other_order").as_bool()) continue;
    run_of[run.at("setting").as_string()] = run.at("run").as_string();
    EXPECT_TRUE(run.at("figures").at("beyond").is_number());
    EXPECT_GE(run.at("figures").at("first_beyond").as_number(), 0.0);
  }
  // And one pre-training of the other order of sums, which no variant names.
  EXPECT_EQ(runs().size(), run_of.size() + 2);
  const std::string before = options_.out + "/runs/" + run_of.at("before");
  const int64_t steps = parse_json_file(before + "/summary.json").at("step").as_integer();

  TrainConfig alone = e.training(options_.effort, "after both phases");
  alone.train.out = folder_ / "alone";
  pretrain(ctx_, alone, /*resume=*/false);
  const std::string shared = options_.out + "/runs/" + run_of.at("after both phases");
  const auto weights = [](const std::string& run) {
    return read_text_file(run + "/latest/model.safetensors");
  };
  EXPECT_EQ(weights(shared), weights(alone.train.out));
  EXPECT_NE(weights(shared), weights(before));
  EXPECT_EQ(parse_json_file(shared + "/summary.json").at("step").as_integer(), steps + 2);
}

TEST_F(Reproduce, SwitchesExpertsOff) {
  options_.seeds = 1;
  const Json result = reproduced("granularity");
  const Json& fine = result.at("runs").as_array()[0].at("figures");
  EXPECT_NE(fine.at("busiest_off").as_number(), 0.0);
  EXPECT_NE(fine.at("shared_off").as_number(), 0.0);
}

TEST_F(Reproduce, DrawsTheLoadOfEveryKindOfText) {
  options_.seeds = 1;
  const Json result = reproduced("expert-specialization");
  EXPECT_GT(result.at("runs").as_array()[0].at("figures").at("specialization").as_number(), 0.0);
  for (const char* file : {"expert-specialization-1.svg", "expert-specialization-2.svg"}) {
    EXPECT_TRUE(fs::exists(options_.out + "/" + file)) << file;
  }
  options_.effort.text = {folder_ / "text/a"};
  EXPECT_EQ(test::refusal_of([&] { reproduced("expert-specialization"); }).field, "text");
}

}  // namespace
}  // namespace hadal
