// A run of several phases: what each begins with, and that a run killed anywhere ends as one that was not.
#include "hadal/train/phases.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hadal/model/checkpoint.h"
#include "hadal/train/metrics.h"
#include "hadal/train/run_folder.h"
#include "hadal/train/run_start.h"
#include "tests/support/refusal.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

// The small run of 8 steps with rows of 24, then 4 steps with rows of 48 and 3 with rows of 96.
constexpr const char* kExtensions = R"(
[[phase]]
name = "longer"
[phase.model]
max_position_embeddings = 128
rope_scaling = { type = "yarn", factor = 40, original_max_position_embeddings = 24, beta_fast = 32, beta_slow = 1, mscale = 1.0, mscale_all_dim = 1.0 }
[phase.train]
seq_len = 48
batch_sequences = 2
steps = 4
[phase.optimizer]
learning_rate = 1e-4

[[phase]]
name = "longest"
[phase.train]
seq_len = 96
batch_sequences = 1
steps = 3
)";

class PhasesTest : public ::testing::Test {
 protected:
  TrainConfig config(const std::string& name, const std::string& phases = kExtensions,
                     std::vector<std::string> set = {}) const {
    const std::string file = folder_.write("run.toml", test::read_bytes(run_.toml()) + phases);
    set.push_back("train.out=" + run_.path(name));
    set.push_back("data.cache_dir=" + run_.path("cache"));
    set.push_back("data.paths=" + run_.path("text-*.txt"));
    set.push_back("model.rope_scaling=none");
    set.push_back("model.max_position_embeddings=32");
    set.push_back("checkpoint.keep=100");
    return read_train_config(file, set);
  }
  Json train(const TrainConfig& config, bool resume = false) const {
    ThreadPool pool(2);
    Arena arena;
    Context ctx{pool, arena};
    return pretrain(ctx, config, resume);
  }
  std::string step_folder(const std::string& name, int64_t step) const {
    return run_.path(name) + "/checkpoints/" + checkpoint_name(step);
  }

  const test::SmallRun run_;
  const test::TemporaryFolder folder_;
};

TEST_F(PhasesTest, EachGoesOnWhereTheOneBeforeEnded) {
  const Json result = train(config("a", kExtensions, {"checkpoint.every_steps=1"}));
  EXPECT_EQ(result.at("step").as_integer(), 8 + 4 + 3);
  EXPECT_EQ(result.at("tokens").as_integer(), 8 * 4 * 24 + 4 * 2 * 48 + 3 * 96);
  EXPECT_FALSE(load_config(step_folder("a", 8)).yarn.has_value());
  const ModelConfig longer = load_config(step_folder("a", 9));
  ASSERT_TRUE(longer.yarn.has_value());
  EXPECT_EQ(longer.yarn->factor, 40.0);
  EXPECT_EQ(longer.yarn->original_max_position, 24);
  EXPECT_EQ(longer.max_position_embeddings, 128);
  EXPECT_EQ(load_config(step_folder("a", 15)).yarn, longer.yarn);
  for (const Json& line : read_metrics(run_.path("a"), 15)) {
    if (line.at("split") != Json("train")) continue;
    const int64_t step = line.at("step").as_integer();
    if (step > 8) {
      EXPECT_EQ(line.at("train/learning_rate").as_number(), 1e-4) << step;
    }
  }
  // The settings in the folder say it all: read back, the same phases.
  const TrainConfig back = read_train_config(run_.path("a") + "/run.toml", {});
  ASSERT_EQ(n_phases(back), 3);
  EXPECT_EQ(phase_name(back, 2), "longest");
  EXPECT_EQ(config_of_phase(back, 2).train.seq_len, 96);
}

TEST_F(PhasesTest, ALaterTextGoesOnBehindWhatAllPhasesBeforeHaveRead) {
  RunStart start;
  start.checkpoint = "checkpoint";
  start.phases = {{8, 768, Json(5)}, {12, 1152, Json(7)}};
  const DataConfig third = current_phase(config("a"), start).data;
  ASSERT_NE(third.before, nullptr);
  EXPECT_EQ(third.before->position, Json(7));
  const DataConfig& second = third.before->config;
  ASSERT_NE(second.before, nullptr);
  EXPECT_EQ(second.before->position, Json(5));
  EXPECT_EQ(second.before->config.before, nullptr);
}

TEST_F(PhasesTest, KilledAnywhereItEndsAsIfItHadNotBeen) {
  const std::vector<std::string> set = {"checkpoint.every_steps=1", "optimizer.ema_decay=0.9",
                                        "optimizer.moment_dtype=bf16"};
  train(config("whole", kExtensions, set));
  for (int64_t step = 6; step < 15; ++step) {
    const std::string name = "killed-" + std::to_string(step);
    fs::copy(run_.path("whole"), run_.path(name),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (int64_t later = step + 1; later <= 15; ++later) fs::remove_all(step_folder(name, later));
    train(config(name, kExtensions, set), true);
    for (int64_t later = step; later <= 15; ++later) {
      EXPECT_EQ(test::differing_files(step_folder("whole", later), step_folder(name, later)),
                std::vector<std::string>{})
          << "killed after step " << step << ", step " << later;
    }
  }
}

// A kill before the next phase's first checkpoint, with the folder's own run.toml.
TEST_F(PhasesTest, GoesOnFromItsFolderAlone) {
  train(config("whole"));
  fs::copy(run_.path("whole"), run_.path("cut"),
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const int64_t step : checkpoint_steps(run_.path("cut") + "/checkpoints")) {
    if (step > 8) fs::remove_all(step_folder("cut", step));
  }
  train(read_train_config(run_.path("cut") + "/run.toml", {"train.out=" + run_.path("cut")}), true);
  EXPECT_EQ(test::differing_files(step_folder("whole", 15), step_folder("cut", 15)),
            std::vector<std::string>{});
}

// A last checkpoint of a phase that came by its interval must not be taken for the phase's middle.
TEST_F(PhasesTest, ALongerPlanOfAnEndedPhaseDoesNotReopenIt) {
  train(config("a"));
  const TrainConfig longer = config("a", kExtensions, {"train.steps=20"});
  EXPECT_EQ(train(longer, true).at("step").as_integer(), 15);
}

TEST_F(PhasesTest, WhatAPhaseDoesNotNameIsCarriedOn) {
  TrainConfig base = config(
      "a", "[[phase]]\n[phase.train]\nsteps = 5\n",
      {"optimizer.learning_rate=1e-2", "optimizer.tail_share=0.05", "loss.mtp_late_from_tokens=100",
       "loss.mtp_weight_late=0.125", "loss.bias_late_from_tokens=100", "loss.bias_gamma_late=0",
       "train.batch_ramp_start_sequences=1", "train.batch_ramp_tokens=50",
       "train.micro_batch_sequences=4"});
  const TrainConfig next = config_of_phase(base, 1);
  EXPECT_DOUBLE_EQ(next.optimizer.learning_rate, 5e-4);
  EXPECT_EQ(next.optimizer.warmup_steps, 0);
  EXPECT_EQ(next.optimizer.tail_share, 1.0);
  EXPECT_EQ(next.loss.mtp_weight, 0.125);
  EXPECT_EQ(next.loss.bias_gamma, 0.0);
  EXPECT_EQ(next.loss.mtp_late_from_tokens, 0);
  EXPECT_EQ(next.train.batch_ramp_start_sequences, 0);
  EXPECT_EQ(next.train.seq_len, base.train.seq_len);
  EXPECT_EQ(next.train.micro_batch_sequences, 4);
  const std::string twice = "[[phase]]\n[phase.train]\nsteps = 5\nseq_len = 48\n";
  EXPECT_EQ(config_of_phase(config("a", twice, {"train.micro_batch_sequences=4"}), 1)
                .train.micro_batch_sequences,
            2);
}

TEST_F(PhasesTest, WhatHoldsForTheWholeRunIsRefusedInAPhase) {
  const auto refused = [&](const std::string& phase, std::vector<std::string> set = {}) {
    return test::refusal_of([&] { config("x", "[[phase]]\n" + phase, std::move(set)).validate(); });
  };
  const Refusal seed = refused("[phase.train]\nsteps = 1\nseed = 4\n");
  EXPECT_EQ(seed.field, "phase.train.seed");
  EXPECT_TRUE(
      seed.place.ends_with(std::string(": line ") + seed.place.substr(seed.place.rfind(' ') + 1)));
  EXPECT_EQ(refused("[phase.model]\nhidden_size = 64\n").field, "phase.model.hidden_size");
  EXPECT_EQ(refused("[phase.checkpoint]\nkeep = 1\n").field, "phase.checkpoint.keep");
  EXPECT_EQ(refused("[phase.precision]\ncompute = \"bf16\"\n").field, "phase.precision.compute");
  EXPECT_EQ(refused("[phase.train]\nseq_len = 4\n").field, "train.steps");  // it has no end
  EXPECT_EQ(refused("[phase.train]\nsteps = 4\nsteeps = 4\n").field, "train.steeps");
  EXPECT_EQ(refused("[phase.train]\nsteps = 1\n", {"train.max_seconds=5"}).field,
            "train.max_seconds");
  EXPECT_EQ(refused("name = 3\n").field, "phase.name");
  EXPECT_EQ(test::refusal_of([&] { config("x", "phase = 3\n"); }).problem.empty(), false);
  EXPECT_FALSE(fs::exists(run_.path("x")));
}

// What the second of three phases is to read; the third reads the same.
class TextOfAPhase : public PhasesTest {
 protected:
  TextOfAPhase() {
    fs::create_directories(run_.path("more"));
    fs::copy(run_.path("text-0.txt"), run_.path("more/a.txt"));
  }
  TrainConfig reading(const std::string& path) const {
    return config("x",
                  concat("[[phase]]\nname = \"more\"\n[phase.data]\npaths = [\"", path,
                         "\"]\n[phase.train]\nsteps = 1\n[[phase]]\n[phase.train]\nsteps = 1\n"));
  }
  // Nothing is there of a run that would not come to its end.
  template <class E>
  void expect_refused_at_once(const std::string& path, const std::string& line) const {
    test::expect_refused<E>([&] { train(reading(path)); }, line);
    EXPECT_FALSE(fs::exists(run_.path("x")));
    EXPECT_FALSE(fs::exists(run_.path("cache"))) << "no text is prepared";
  }
};

TEST_F(TextOfAPhase, IsLookedForBeforeTheRunBegins) {
  expect_refused_at_once<ConfigError>(run_.path("mor"),
                                      "more: " + run_.path("mor") + ": no file found");
  fs::create_symlink(run_.path("nowhere"), run_.path("more/b.txt"));
  expect_refused_at_once<FormatError>(
      run_.path("more/*.txt"), "more: " + run_.path("more/b.txt") + ": cannot be read (No such");
  EXPECT_EQ(train(reading(run_.path("more"))).at("step").as_integer(), 8 + 1 + 1)
      << "links to nowhere in a folder are passed over";
}

TEST_F(TextOfAPhase, IsLookedForWhenTheRunGoesOn) {
  const TrainConfig reads_more = reading(run_.path("more"));
  train(reads_more);
  const auto cut_after = [&](int64_t last) {
    for (const int64_t step : checkpoint_steps(run_.path("x/checkpoints"))) {
      if (step > last) fs::remove_all(step_folder("x", step));
    }
  };
  fs::rename(run_.path("more"), run_.path("gone"));
  cut_after(4);
  test::expect_refused<ConfigError>([&] { train(reads_more, true); }, "more: " + run_.path("more"));
  EXPECT_EQ(checkpoint_steps(run_.path("x/checkpoints")).back(), 4) << "no step before it says so";
  // A replay or a repeat that ends before that phase needs none of its text.
  ThreadPool pool(2);
  Arena arena;
  Context ctx{pool, arena};
  pretrain(ctx, reads_more, true, {.after_step = 6, .ends_run = false, .look = nullptr});
  EXPECT_EQ(checkpoint_steps(run_.path("x/checkpoints")).back(), 6);
}

// Whether or not the tests are root's, to whom everything is readable.
TEST_F(TextOfAPhase, MustBeReadable) {
  for (const char* name : {"", "more"}) fs::permissions(run_.path(name), fs::perms(0755));
  fs::permissions(run_.path("more/a.txt"), fs::perms(0000));
  const TrainConfig config = reading(run_.path("more"));
  EXPECT_EXIT(
      {
        if (geteuid() == 0 && setuid(65534) != 0) _exit(0);
        try {
          require_texts(config, 1);
        } catch (const IoError& error) {
          fprintf(stderr, "%s", error.what());
          _exit(error.exit_code());
        }
        _exit(0);
      },
      ::testing::ExitedWithCode(1),
      "more: " + run_.path("more/a.txt") + ": cannot be read .Permission denied.; check its");
}

}  // namespace
}  // namespace hadal
