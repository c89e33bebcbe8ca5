// Whole runs: what a run writes, and that interrupted ones end as if they had not been.
#include "hadal/train/pretrain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "hadal/train/metrics.h"
#include "hadal/train/run_folder.h"
#include "tests/support/refusal.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::copy_as_killed_after;
using test::SmallRun;
using test::step_folder;

TEST(Pretrain, WritesEverythingAndReportsIt) {
  const SmallRun run;
  const Json result = run.train("a");
  EXPECT_EQ(result.at("step").as_integer(), 8);
  EXPECT_EQ(result.at("tokens").as_integer(), 8 * 4 * 24);
  for (const char* name : {"train_loss", "val_loss", "val_bits_per_byte", "tokens_per_s",
                           "max_violation", "mtp_acceptance"}) {
    ASSERT_TRUE(result.at(name).is_number()) << name;
    EXPECT_TRUE(std::isfinite(result.at(name).as_number())) << name;
  }
  EXPECT_EQ(result.at("checkpoint").as_string(), step_folder(run, "a", 8));
  for (const char* name : {"run.toml", "metrics.jsonl", "report.html", "tensorboard", "latest"}) {
    EXPECT_TRUE(fs::exists(run.path("a") + "/" + name)) << name;
  }
  EXPECT_EQ(fs::read_symlink(run.path("a") + "/latest"), "checkpoints/" + checkpoint_name(8));
  EXPECT_EQ(checkpoint_steps(run.path("a") + "/checkpoints"), (std::vector<int64_t>{4, 8}));
}

// Continued pre-training: a rate of 0 leaves what the first run ended with.
TEST(Pretrain, GoesOnFromAModelThatIsThere) {
  const SmallRun run;
  const std::vector<std::string> still = {"optimizer.learning_rate=0", "loss.bias_gamma=0",
                                          "checkpoint.dtype=f32"};
  run.train("first", {"checkpoint.dtype=f32"});
  const std::string model = run.path("first") + "/latest";
  run.train_from(run.path("first"), "second", still);
  EXPECT_EQ(
      test::differing_files(model, run.path("second") + "/latest"),
      (std::vector<std::string>{"manifest.json", "state.json", "training_state.safetensors"}));

  run.train_from(run.path("first"), "whole");
  EXPECT_NE(test::differing_files(model, run.path("whole") + "/latest").size(), 0U);
  copy_as_killed_after(run, "whole", "resumed", 4);
  run.train_from(run.path("first"), "resumed", {}, true);
  EXPECT_EQ(test::differing_files(run.path("whole") + "/latest", run.path("resumed") + "/latest"),
            (std::vector<std::string>{}));
  const auto refused = [&](const std::string& set) {
    return test::refusal_of([&] { run.train_from(run.path("first"), "wrong", {set}); }).field;
  };
  EXPECT_EQ(refused("model.preset=tiny"), "model.preset");
  EXPECT_EQ(refused("model.hidden_size=64"), "model.hidden_size");
  EXPECT_EQ(refused("data.vocab_size=400"), "data.vocab_size");
  EXPECT_FALSE(fs::exists(run.path("wrong") + "/run.toml"));
}

TEST(Pretrain, AFileThatCameToTheTextIsNamed) {
  const SmallRun run;
  run.train("a", {"train.steps=4"});
  const std::string added = run.path("text-99.txt");
  fs::copy(run.path("text-3.txt"), added);
  const auto message = [&]() -> std::string {
    try {
      run.train("a", {}, true);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "";
  };
  // Once more what another has is no other text: duplicates are dropped.
  EXPECT_EQ(message(), "");
  fs::resize_file(added, 700);
  EXPECT_NE(message().find(added + " is new"), std::string::npos) << message();
  fs::remove(run.path("text-5.txt"));
  EXPECT_NE(message().find(", and 1 more"), std::string::npos) << message();
}

TEST(Pretrain, KeepsTheLastCheckpointsOnly) {
  const SmallRun run;
  run.train("a", {"checkpoint.every_steps=1", "checkpoint.keep=2"});
  EXPECT_EQ(checkpoint_steps(run.path("a") + "/checkpoints"), (std::vector<int64_t>{7, 8}));
}

TEST(Pretrain, ResumesBitForBit) {
  const std::vector<std::vector<std::string>> variants = {
      {},
      {"train.micro_batch_sequences=1"},
      {"optimizer.ema_decay=0.9", "optimizer.moment_dtype=bf16", "checkpoint.dtype=f32"},
      {"train.batch_ramp_start_sequences=1", "train.batch_ramp_tokens=400",
       "loss.mtp_late_from_tokens=300", "loss.bias_late_from_tokens=500"},
  };
  for (const auto& set : variants) {
    const SmallRun run;
    const Json whole = run.train("a", set);
    copy_as_killed_after(run, "a", "b", 4);
    const Json resumed = run.train("b", set, true);
    EXPECT_EQ(resumed.at("val_loss"), whole.at("val_loss"));
    EXPECT_EQ(resumed.at("train_loss"), whole.at("train_loss"));
    EXPECT_EQ(test::differing_files(step_folder(run, "a", 8), step_folder(run, "b", 8)),
              std::vector<std::string>{})
        << (set.empty() ? "default" : set[0]);
  }
}

TEST(Pretrain, ResumedMetricsHaveEveryStepOnce) {
  const SmallRun run;
  run.train("a");
  copy_as_killed_after(run, "a", "b", 4);
  run.train("b", {}, true);
  std::vector<int64_t> steps;
  for (const Json& line : read_metrics(run.path("b"), 100)) {
    if (line.at("split") == Json("train")) steps.push_back(line.at("step").as_integer());
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Pretrain, SameSeedSameBytesWhateverTheThreads) {
  const SmallRun run;
  std::vector<std::string> folders;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    Arena arena;
    Context ctx{pool, arena};
    const std::string name = concat("t", threads);
    pretrain(ctx, run.config(name), false);
    folders.push_back(step_folder(run, name, 8));
  }
  EXPECT_EQ(test::differing_files(folders[0], folders[1]), std::vector<std::string>{});
  run.train("other", {"train.seed=5"});
  EXPECT_NE(test::differing_files(folders[0], step_folder(run, "other", 8)),
            std::vector<std::string>{});
}

TEST(Pretrain, GoesBackToTheCheckpointBeforeADamagedOne) {
  const SmallRun run;
  run.train("a");
  fs::copy(run.path("a"), run.path("b"),
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const std::string damaged = step_folder(run, "b", 8) + "/training_state.safetensors";
  std::string bytes = test::read_bytes(damaged);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  fs::remove(damaged);
  std::FILE* file = std::fopen(damaged.c_str(), "wb");
  ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
  std::fclose(file);

  testing::internal::CaptureStderr();
  run.train("b", {}, true);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("damaged (training_state.safetensors"),
            std::string::npos);
  EXPECT_EQ(test::differing_files(step_folder(run, "a", 8), step_folder(run, "b", 8)),
            std::vector<std::string>{});
}

TEST(Pretrain, StartsAgainWhenNoCheckpointIsLeft) {
  const SmallRun run;
  run.train("a");
  copy_as_killed_after(run, "a", "b", 0);
  run.train("b", {}, true);
  EXPECT_EQ(test::differing_files(step_folder(run, "a", 8), step_folder(run, "b", 8)),
            std::vector<std::string>{});
}

TEST(Pretrain, AFinishedRunResumesToTheSameResult) {
  const SmallRun run;
  const Json first = run.train("a"), again = run.train("a", {}, true);
  EXPECT_EQ(again.at("val_loss"), first.at("val_loss"));
  EXPECT_EQ(again.at("step"), first.at("step"));
  EXPECT_TRUE(again.at("tokens_per_s").is_null());  // nothing was trained, nothing was measured
}

TEST(Pretrain, AveragedWeightsAreEvaluatedAndSaved) {
  const SmallRun run;
  const Json result = run.train("a", {"optimizer.ema_decay=0.5"});
  EXPECT_NE(result.at("ema_val_loss"), result.at("val_loss"));
  EXPECT_TRUE(fs::exists(result.at("ema_checkpoint").as_string() + "/model.safetensors"));
}

TEST(Pretrain, TheLossFallsOnLearnableText) {
  const SmallRun run;
  const Json result =
      run.train("a", {"train.steps=60", "optimizer.learning_rate=1e-2", "eval.every_steps=0"});
  const auto lines = read_metrics(run.path("a"), 1);
  const double first = lines.at(0).at("train/loss").as_number();
  EXPECT_NEAR(first, std::log(320.0), 0.35);  // an untrained model knows nothing: ln V
  EXPECT_LT(result.at("val_loss").as_number(), first - 1.5);
}

TEST(Pretrain, StopsBeforeAnUpdateThatIsNotFinite) {
  const SmallRun run;
  try {
    run.train("a", {"optimizer.learning_rate=1e30", "checkpoint.every_steps=1"});
    FAIL() << "trained on";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("of step 2 is not finite"), std::string::npos) << text;
    EXPECT_NE(text.find("elements of model."), std::string::npos) << text;
    EXPECT_EQ(error.exit_code(), 1);
  }
  EXPECT_EQ(checkpoint_steps(run.path("a") + "/checkpoints"), (std::vector<int64_t>{1}));
}

TEST(RunFolder, IsNotSharedAndNotOverwritten) {
  const test::TemporaryFolder folder;
  test::expect_refused<ConfigError>([&] { RunFolder(folder / "new", true); },
                                    "new: holds no run to resume");  // nothing to resume
  {
    const RunFolder first(folder / "run", false);
    test::expect_refused<ConfigError>([&] { RunFolder(folder / "run", false); },
                                      "run: another hadal process is training there");  // locked
    folder.write("run/run.toml", "");
    test::expect_refused<ConfigError>(
        [&] { RunFolder(folder / "run", true); },
        "run: another hadal process is training there");  // still locked
  }
  { const RunFolder again(folder / "run", false); }  // settings alone are no run
  folder.write("run/metrics.jsonl", "");
  test::expect_refused<ConfigError>([&] { RunFolder(folder / "run", false); },
                                    "run: already holds a run");  // holds a run
  const RunFolder resumed(folder / "run", true);
  EXPECT_EQ(resumed.latest(), folder / "run/latest");
}

}  // namespace
}  // namespace hadal
