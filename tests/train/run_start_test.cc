// A run goes on with the model of its checkpoint: a preset that means something else by now does
// not stop it, a model that is asked for now and is another one does.
#include "hadal/train/run_start.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

#include "hadal/train/pretrain.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::read_bytes;

class RunStartTest : public ::testing::Test {
 protected:
  // Run "whole" of 8 steps, and "cut": the same as if killed after step 4.
  void train_and_cut(const std::vector<std::string>& set = {}) {
    run_.train("whole", set);
    fs::copy(run_.path("whole"), run_.path("cut"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fs::remove_all(step_folder("cut", 8));
    replace_in_settings(run_.path("whole"), run_.path("cut"));
  }

  std::string step_folder(const std::string& name, int64_t step) const {
    return run_.path(name) + "/checkpoints/" + checkpoint_name(step);
  }
  std::string settings() const { return run_.path("cut") + "/run.toml"; }

  void replace_in_settings(const std::string& expression, const std::string& text) const {
    const std::string before = read_bytes(settings());
    const std::string after = std::regex_replace(before, std::regex(expression), text);
    ASSERT_NE(after, before) << expression;
    std::FILE* file = std::fopen(settings().c_str(), "wb");
    ASSERT_EQ(std::fwrite(after.data(), 1, after.size(), file), after.size());
    std::fclose(file);
  }

  // As `hadal train --resume --out cut`; what it says on stderr.
  std::string resume(const std::vector<std::string>& set = {}) const {
    ThreadPool pool(2);
    Arena arena;
    Context ctx{pool, arena};
    testing::internal::CaptureStderr();
    try {
      pretrain(ctx, read_train_config(settings(), set), true);
    } catch (const Error& error) {
      return testing::internal::GetCapturedStderr() + error.what();
    }
    return testing::internal::GetCapturedStderr();
  }

  void expect_refused(const std::vector<std::string>& set, const std::string& words) const {
    const std::string before = read_bytes(settings());
    const std::string said = resume(set);
    EXPECT_NE(said.find(words), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
    EXPECT_FALSE(fs::exists(step_folder("cut", 8)));
    EXPECT_EQ(read_bytes(settings()), before);  // or every later --resume would be refused as well
  }

  void expect_same_end() const {
    ASSERT_TRUE(fs::exists(step_folder("cut", 8)));
    EXPECT_EQ(test::differing_files(step_folder("whole", 8), step_folder("cut", 8)),
              std::vector<std::string>{});
  }

  const test::SmallRun run_;
};

// run.toml without the keys that made "tiny" small: what it would be had the preset been this
// small in the version that began the run, and grown since.
TEST_F(RunStartTest, APresetThatChangedItsShapeDoesNotStopARun) {
  train_and_cut();
  replace_in_settings(
      "(hidden_size|intermediate_size|moe_intermediate_size|n_routed_experts|q_lora_rank|"
      "num_attention_heads|num_hidden_layers) = [0-9]+\n",
      "");
  const std::string said = resume();
  EXPECT_NE(said.find("model.preset tiny is another model than when the run began (hidden_size "
                      "256, the checkpoint's 32; "),
            std::string::npos)
      << said;
  EXPECT_EQ(said.find("run.toml: model.preset"), said.rfind("run.toml: model.preset")) << said;
  expect_same_end();
}

TEST_F(RunStartTest, APresetThatIsGoneDoesNotStopARun) {
  train_and_cut();
  replace_in_settings("preset = \"tiny\"", "preset = \"tiny-of-old\"");
  EXPECT_NE(resume().find("model.preset tiny-of-old is another model"), std::string::npos);
  expect_same_end();
}

TEST_F(RunStartTest, AConfigurationFileThatIsGoneDoesNotStopARun) {
  const test::TemporaryFolder folder;
  const std::string config =
      folder.write("config.json", config_to_hf(find_preset("tiny").config).dump());
  train_and_cut({"model.preset=", "model.config=" + config});
  fs::remove(config);
  EXPECT_NE(resume().find("model.config " + config + " is another model"), std::string::npos);
  expect_same_end();
}

TEST_F(RunStartTest, ThePresetsVocabularyDoesNotChangeTheData) {
  train_and_cut({"data.vocab_size=310"});
  // The original file without data.vocab_size: the preset's own, 512, must not count now.
  TrainConfig config = run_.config("cut");
  config.origins.erase("data.vocab_size");
  const TrainConfig begun =
      settled(config, find_run_start(RunFolder(config.train.out, true), config, true), 2);
  EXPECT_EQ(begun.data.vocab_size, 310);
}

// How a batch is cut shows in its gradient: a run keeps what the threads it began on chose.
TEST_F(RunStartTest, MicroBatchesGrowWithTheThreadsButNotWithinARun) {
  EXPECT_EQ(chosen_micro_batch(256, 1), 4);
  EXPECT_EQ(chosen_micro_batch(256, 4), 4);
  EXPECT_EQ(chosen_micro_batch(256, 16), 16);
  EXPECT_EQ(chosen_micro_batch(256, 256), 32);
  EXPECT_EQ(chosen_micro_batch(4096, 1), 1);
  train_and_cut();
  TrainConfig config = run_.config("cut");
  config.train.micro_batch_sequences = 0;
  const RunStart start = find_run_start(RunFolder(config.train.out, true), config, true);
  const int64_t begun_with = settled(config, start, 1).train.micro_batch_sequences;
  EXPECT_GT(begun_with, 0);
  EXPECT_EQ(settled(config, start, 64).train.micro_batch_sequences, begun_with);
  EXPECT_GT(settled(config, RunStart{}, 64).train.micro_batch_sequences, begun_with);
}

TEST_F(RunStartTest, AnotherModelThanTheCheckpointsIsRefusedAndLeavesTheRunAlone) {
  train_and_cut();
  expect_refused({"model.hidden_size=64"},
                 "set: model.hidden_size: not the model of the "
                 "checkpoint (found 64, expected 32 as in ");
  expect_refused({"model.n_group=3"}, "set: model.n_group: not the model of the checkpoint");
  expect_refused({"model.rope_scaling=none"}, "set: model.rope_scaling: not the model");
  expect_refused({"model.hidden_sizes=64"}, "did you mean model.hidden_size?");
  expect_refused({"model.preset=tiny-v2"},
                 "model.preset: not the model of the checkpoint (found "
                 "tiny-v2 with architectures ");
  expect_refused({"model.preset=tinny"}, "tinny");
  expect_refused({"optimizer.moment_dtype=bf16"}, "resume with the settings it was started with");
  EXPECT_NE(resume({"model.hidden_size=32", "model.rope_theta=10000"}).find("going on from"),
            std::string::npos);
  expect_same_end();
}

}  // namespace
}  // namespace hadal
