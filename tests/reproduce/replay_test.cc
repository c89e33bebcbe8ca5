// A step of a run computed again, in its precision and in FP32.
#include "hadal/reproduce/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>

#include "hadal/io/manifest.h"
#include "hadal/io/safetensors.h"
#include "hadal/reproduce/tensor_comparison.h"
#include "hadal/train/metrics.h"
#include "hadal/train/spread_run.h"
#include "tests/support/refusal.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Json replay(const std::string& run, std::optional<int64_t> step = {}, int n_threads = 1,
            double departs_at = 0.3) {
  ThreadPool pool(n_threads);
  Arena arena;
  Context ctx{pool, arena};
  return replay_step(ctx, {.run = run, .step = step, .departs_at = departs_at});
}

std::map<std::string, std::string> all_files(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files[entry.path()] = test::read_bytes(entry.path());
  }
  return files;
}

// The first element of a tensor of a checkpoint's training state becomes `value`.
void plant(const std::string& checkpoint, const std::string& tensor, float value) {
  const std::string path = checkpoint + "/training_state.safetensors";
  std::string bytes = test::read_bytes(path);
  const SafetensorsHeader header = parse_safetensors(bytes, path);
  for (const TensorInfo& info : header.tensors) {
    if (info.name != tensor) continue;
    std::memcpy(bytes.data() + header.data_offset + info.begin, &value, sizeof(value));
    FILE* file = std::fopen(path.c_str(), "w");
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    fs::remove(checkpoint + "/manifest.json");
    write_manifest(checkpoint);
    return;
  }
  FAIL() << "no tensor " << tensor;
}

TEST(Replay, TrainsUntilTheStepAsItWasAndTouchesNothing) {
  const test::SmallRun run;
  run.train("run", {"precision.compute=fp8"});
  const auto before = all_files(run.path("run"));
  const Json report = replay(run.path("run"), 7, 2, 2.0);
  EXPECT_EQ(report.at("from_step").as_integer(), 4);
  EXPECT_EQ(report.at("precision").as_string(), "fp8");
  EXPECT_TRUE(report.at("repeated").as_bool());
  EXPECT_TRUE(report.at("first").is_null()) << report.at("verdict").as_string();
  for (const Json& line : read_metrics(run.path("run"), 7)) {
    if (line.at("step") != Json(7) || line.at("split") != Json("train")) continue;
    EXPECT_EQ(report.at("loss").at("own"), line.at("train/loss"));
    EXPECT_EQ(report.at("grad_norm").at("own"), line.at("train/grad_norm"));
    EXPECT_NE(report.at("loss").at("fp32"), line.at("train/loss")) << "FP8 rounds";
  }
  const Json::Array& tensors = report.at("tensors").as_array();
  EXPECT_EQ(tensors.front().at("kind").as_string(), "weight");
  EXPECT_THAT(tensors.back().at("name").as_string(), "gradient of model.embed_tokens.weight");
  for (const Json& each : tensors) {
    if (each.at("largest_fp32") == Json(0.0)) continue;  // of an expert that no token chose
    const bool weight = each.at("kind") == Json("weight");
    EXPECT_EQ(each.at("error").as_number() > 0.0, !weight) << each.dump();
  }
  EXPECT_EQ(all_files(run.path("run")), before);
  EXPECT_EQ(replay(run.path("run"), 7, 1, 2.0), report)
      << "another number of threads, the same bits";
  // No checkpoint before it: trained from the beginning.
  EXPECT_TRUE(replay(run.path("run"), 1).at("repeated").as_bool());
  EXPECT_EQ(replay(run.path("run"), 3).at("from_step").as_integer(), 0);
  EXPECT_TRUE(replay(run.path("run"), 3).at("repeated").as_bool());
}

TEST(Replay, NothingDepartsInFp32) {
  const test::SmallRun run;
  run.train("run");
  EXPECT_EQ(replay(run.path("run"), 6).at("verdict").as_string(),
            "every tensor is finite, and the same in fp32 as in FP32");
}

TEST(Replay, NamesTheWeightThatWasNotFiniteBefore) {
  const test::SmallRun run;
  run.train("run", {"precision.compute=fp8"});
  const std::string name = "model.layers.1.self_attn.o_proj.weight";
  plant(test::step_folder(run, "run", 4), "master." + name, std::numeric_limits<float>::infinity());
  const Json report = replay(run.path("run"), 5);
  EXPECT_EQ(report.at("first").as_string(), name);
  EXPECT_THAT(report.at("verdict").as_string(),
              StartsWith(name + ": 1 of 512 elements are not finite before the step"));
  EXPECT_FALSE(report.at("repeated").as_bool());
}

// Products that FP32 cannot hold either are not the precision's fault.
TEST(Replay, TellsWhatOverflowsInFp32Too) {
  const test::SmallRun run;
  run.train("run", {"precision.compute=bf16"});
  plant(test::step_folder(run, "run", 4), "master.lm_head.weight", 3e38F);
  const Json report = replay(run.path("run"), 5);
  EXPECT_EQ(report.at("first").as_string(), "loss");
  EXPECT_THAT(report.at("verdict").as_string(), HasSubstr("in FP32, too"));
}

TEST(Replay, ChoosesTheWorstSpike) {
  const test::SmallRun run;
  run.train("run", {"train.steps=20", "checkpoint.every_steps=0"});
  // A figure of the log alone: the step itself was like the others.
  std::string text = test::read_bytes(run.path("run/metrics.jsonl"));
  const size_t line = text.find("\"step\":18,");
  const size_t at = text.find("\"train/grad_norm\":", line) + 18;
  text.insert(at, "1");
  FILE* file = std::fopen(run.path("run/metrics.jsonl").c_str(), "w");
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
  const OffendingStep step = offending_step(run.path("run"));
  EXPECT_EQ(step.step, 18);
  EXPECT_THAT(step.why, HasSubstr("train/grad_norm"));
  EXPECT_FALSE(replay(run.path("run")).at("repeated").as_bool());
}

// The update of step 1 destroys the weights, step 2 stops the run.
TEST(Replay, ChoosesTheStepThatStoppedTheRun) {
  const test::SmallRun run;
  EXPECT_THROW(run.train("run", {"optimizer.learning_rate=1e38", "optimizer.warmup_steps=0"}),
               Error);
  const Json report = replay(run.path("run"));
  EXPECT_THAT(report.at("why").as_string(), HasSubstr("not_finite in stability.jsonl"));
  EXPECT_FALSE(report.at("first").is_null()) << report.at("verdict").as_string();
}

TEST(Replay, RefusesStepsThatAreNotThere) {
  const test::SmallRun run;
  run.train("run");
  test::expect_refused<ConfigError>([&] { replay(run.path("run"), 9); },
                                    "step: beyond the run's end");
  test::expect_refused<ConfigError>([&] { replay(run.path("run"), 0); }, "step: out of range");
  test::expect_refused<ConfigError>([&] { replay(run.path("run")); },
                                    run.path("run") + ": no step of it stands out");
  test::expect_refused<ConfigError>([&] { replay(run.path("none"), 1); },
                                    run.path("none") + ": not the folder of a run");
}

// Ranks that were threads or processes: their step is computed on one.
TEST(Replay, OfARunOnRanksIsComputedOnOne) {
  const test::SmallRun run;
  const TrainConfig config =
      run.config("run", {"parallel.data=2", "parallel.expert=2", "train.micro_batch_sequences=1",
                         "checkpoint.every_steps=4"});
  pretrain_spread(plan_spread(config, 2), config, /*resume=*/false);
  const Json report = replay(run.path("run"), 5);  // behind a checkpoint: nothing has parted yet
  for (const Json& line : read_metrics(run.path("run"), 5)) {
    const Json* loss = line.find("train/loss");
    if (!loss || line.at("step") != Json(5)) continue;
    EXPECT_EQ(report.at("loss").at("own"), *loss) << "the same bits";
    return;
  }
  FAIL() << "step 5 is not in the metrics";
}

TEST(TensorComparison, ByHand) {
  Arena arena;
  const auto tensor = [&](std::vector<float> values) {
    Tensor t = Tensor::empty(arena, DType::kF32, {static_cast<int64_t>(values.size())});
    t.read_from(values.data());
    return t;
  };
  TensorFigures figures{.name = "x", .kind = "activation"};
  figures.add(tensor({3, 5}), tensor({3, 4}));
  figures.add(tensor({NAN}), tensor({-12}));
  EXPECT_DOUBLE_EQ(figures.error(), 0.2);  // |(0, 1)| / |(3, 4)|
  EXPECT_EQ(figures.largest, 5);
  EXPECT_EQ(figures.largest_fp32, 12);
  EXPECT_EQ(figures.not_finite, 1);
  EXPECT_EQ(figures.not_finite_fp32, 0);
  EXPECT_EQ(judge({figures}, "fp8", 0.3).verdict,
            "x: 1 of 3 elements are not finite in fp8, none in FP32 (largest 12)");
  figures.not_finite = 0;
  EXPECT_EQ(judge({figures}, "fp8", 0.2).verdict,
            "x is the first to depart: 20.0 % from FP32's (largest 12), in fp8");
  EXPECT_EQ(judge({figures}, "fp8", 0.3).first, nullptr);
  // Where its kind is as far from FP32's, it is like the others.
  TensorFigures other = figures;
  EXPECT_EQ(judge({figures, other, figures}, "fp8", 0.2).first, nullptr);
  other.square_of_difference /= 1e6;
  EXPECT_NE(judge({figures, other, other}, "fp8", 0.2).first, nullptr);
}

}  // namespace
}  // namespace hadal
