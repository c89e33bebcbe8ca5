// Steps that go wrong: text unlike all other and a weight that is not a number, and what a run does
// about them. Every run here is also killed and resumed, and must end with the same bytes.
#include "hadal/train/stability.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "hadal/data/tokenizer.h"
#include "hadal/io/atomic_write.h"
#include "hadal/train/metrics.h"
#include "hadal/train/run_folder.h"
#include "tests/support/compare.h"
#include "tests/support/refusal.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::small_batch;
using test::small_shape;

TEST(SpikeThreshold, IsTheMedianAndAMultipleOfTheDeviation) {
  // Median 5; distances 4 3 2 1 0 1 2 3 95, their median 2.
  const std::vector<double> values = {1, 2, 3, 4, 5, 6, 7, 8, 100};
  EXPECT_DOUBLE_EQ(*spike_threshold(values, 9, 3.0), 5 + 3 * 1.4826 * 2);
  EXPECT_FALSE(spike_threshold(values, 10, 3.0).has_value());  // not yet full
  EXPECT_FALSE(spike_threshold(values, 9, 0.0).has_value());   // not looked for
  // Equal values: a hundredth of them is the least deviation.
  EXPECT_DOUBLE_EQ(*spike_threshold({2, 2, 2, 2}, 4, 5.0), 2 + 5 * 0.02);
}

TEST(StabilityState, SurvivesItsCheckpoint) {
  StabilityState state;
  state.losses = {1.0 / 3.0, 2.5};
  state.gradient_norms = {0.1};
  state.skipped = 1;
  state.rollbacks = 2;
  state.in_a_row = 3;
  state.last_trouble = 4;
  state.n_events = 5;
  state.last_spike = 6;
  const Json json = stability_json(state);
  EXPECT_EQ(stability_json(stability_from(parse_json(json.dump(2), "state"))), json);
}

TEST(StabilityWatch, WhatWasSkippedIsNoMeasureOfWhatIsUsual) {
  TrainConfig::Stability settings;
  settings.on_spike = "skip";
  StabilityWatch watch(settings);
  StepReport report;
  report.loss.ce = 2.0;
  report.grad_norm = 0.5;
  watch.took(report, 1);
  watch.met({"loss_spike", 9.0, 3.0, "", ""}, Remedy::kSkip, 2);
  EXPECT_EQ(watch.state().losses, std::vector<double>{2.0});
  EXPECT_EQ(watch.state().gradient_norms, std::vector<double>{0.5});
  EXPECT_EQ(watch.state().in_a_row, 1);
  watch.took(report, 3);
  EXPECT_EQ(watch.state().in_a_row, 0);
}

// Text in letters that no other document has, so that their tokens were never learnt.
class StabilityTest : public ::testing::Test {
 protected:
  StabilityTest() {
    run_.train("clean", {"train.steps=1"});
    std::string text;
    for (int word = 0; word < 40; ++word) {
      for (int i = 0; i < 3 + word % 5; ++i) {
        text += "\xCE";
        text += static_cast<char>(0xB1 + (7 * word + 3 * i + i * i) % 14);
      }
      text += word % 8 == 7 ? "\n" : "\xD7\x90";
    }
    for (int copy = 0; copy < 5; ++copy) {  // not duplicates of each other
      write_text_file(run_.path(concat("poison-", copy, ".txt")),
                      text.substr(static_cast<size_t>(2 * copy)) + "\n");
    }
  }
  static void write_text_file(const std::string& path, const std::string& text) {
    write_file_atomically(path, text);
  }
  std::vector<std::string> settings(std::vector<std::string> more) const {
    std::vector<std::string> set = {"data.tokenizer=" + run_.path("clean") + "/latest",
                                    concat("data.paths=[\"", run_.path("text-*.txt"), "\", \"",
                                           run_.path("poison-*.txt"), "\"]"),
                                    "train.steps=48",
                                    "train.batch_sequences=1",
                                    "train.micro_batch_sequences=1",
                                    "checkpoint.every_steps=6",
                                    "checkpoint.keep=100",
                                    "optimizer.learning_rate=5e-3",
                                    "eval.every_steps=10",
                                    "stability.window=8",
                                    "stability.gradient_spike=0"};
    set.insert(set.end(), more.begin(), more.end());
    return set;
  }
  std::vector<Json> events(const std::string& name) const {
    std::vector<Json> result;
    const std::string path = run_.path(name) + "/stability.jsonl";
    if (!fs::exists(path)) return result;
    const std::string text = test::read_bytes(path);
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = text.find('\n', begin);
      result.push_back(parse_json(text.substr(begin, end - begin), path));
      begin = end + 1;
    }
    return result;
  }
  Json state_of(const std::string& name) const {
    return parse_json_file(run_.path(name) + "/latest/state.json");
  }
  // The run of `set` under the name, and again killed after `step`: the same bytes.
  Json train_and_resume(const std::string& name, const std::vector<std::string>& set,
                        int64_t step) {
    const Json result = run_.train(name, set);
    const std::string cut = name + "-cut";
    test::copy_as_killed_after(run_, name, cut, step);
    run_.train(cut, set, true);
    EXPECT_EQ(test::differing_files(run_.path(name) + "/latest", run_.path(cut) + "/latest"),
              std::vector<std::string>{});
    EXPECT_EQ(events(cut), events(name));
    std::vector<int64_t> steps, want;
    const int64_t last = result.at("step").as_integer();
    for (const Json& line : read_metrics(run_.path(cut), 1000)) {
      if (line.at("split") == Json("train")) steps.push_back(line.at("step").as_integer());
    }
    for (int64_t i = 1; i <= last; ++i) want.push_back(i);
    EXPECT_EQ(steps, want);
    return result;
  }
  // The model of the clean run with a NaN in the embedding of each of the text's tokens, or in a norm.
  std::string spoilt(const std::string& text) const {
    const std::string folder = run_.path("spoilt"), from = run_.path("clean") + "/latest";
    Arena arena;
    DeepseekV3 model = test::load_folder(from, arena);
    if (text.empty()) model.final_norm.weight.master.vec()(0) = NAN;
    const Tokenizer tokenizer = Tokenizer::load(from);
    for (const int32_t id : tokenizer.encode(text)) model.embedding.master.mat()(id, 0) = NAN;
    test::save_folder(folder, model);
    for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) {
      if (fs::exists(from + "/" + file)) fs::copy(from + "/" + file, folder + "/" + file);
    }
    return folder;
  }

  const test::SmallRun run_;
};

TEST_F(StabilityTest, ByDefaultNothingIsLookedForAndNothingWritten) {
  const Json result = run_.train("a", settings({}));
  EXPECT_FALSE(fs::exists(run_.path("a") + "/stability.jsonl"));
  EXPECT_EQ(state_of("a").find("stability"), nullptr);
  EXPECT_EQ(result.find("skipped_steps"), nullptr);
  for (const Json& line : read_metrics(run_.path("a"), 1000)) {
    for (const auto& [name, value] : line.as_object()) {
      EXPECT_NE(name.rfind("stability/", 0), 0U) << name;
      EXPECT_NE(name.rfind("layers/", 0), 0U) << name;
    }
  }
}

TEST_F(StabilityTest, ASpikeIsSkippedAndCounted) {
  const Json result =
      train_and_resume("a", settings({"stability.on_spike=skip", "stability.max_in_a_row=9"}), 24);
  const std::vector<Json> all = events("a");
  ASSERT_GE(all.size(), 1U);
  const auto n = static_cast<int64_t>(all.size());
  EXPECT_LT(n, 24);
  EXPECT_EQ(result.at("step").as_integer(), 48);
  EXPECT_EQ(result.at("skipped_steps").as_integer(), n);
  EXPECT_EQ(result.at("rollbacks").as_integer(), 0);
  EXPECT_EQ(state_of("a").at("optimizer_steps").as_integer(), 48 - n);
  for (const Json& event : all) {
    EXPECT_EQ(event.at("kind"), Json("loss_spike"));
    EXPECT_EQ(event.at("action"), Json("skip"));
    EXPECT_GT(event.at("value").as_number(), event.at("threshold").as_number());
    // One row a step and no row twice: the batch of step n is row n - 1.
    EXPECT_EQ(event.at("data_position").at("cursor").as_integer(),
              event.at("step").as_integer() - 1);
  }
  const std::vector<Json> lines = read_metrics(run_.path("a"), 1000);
  EXPECT_EQ(lines.back().at("split"), Json("val"));
  EXPECT_EQ(lines[lines.size() - 2].at("stability/skipped").as_integer(), n);
  EXPECT_TRUE(lines[lines.size() - 2].find("stability/loss_threshold"));
}

// The update is left out as if it had not been looked at: the weights of the step before stay.
TEST_F(StabilityTest, ASkippedStepLeavesTheStateAlone) {
  run_.train("a", settings({"stability.on_spike=skip", "stability.max_in_a_row=9",
                            "checkpoint.every_steps=1", "checkpoint.dtype=f32"}));
  ASSERT_FALSE(events("a").empty());
  const int64_t step = events("a").front().at("step").as_integer();
  EXPECT_EQ(test::differing_files(test::step_folder(run_, "a", step - 1),
                                  test::step_folder(run_, "a", step)),
            (std::vector<std::string>{"manifest.json", "state.json"}));
}

TEST_F(StabilityTest, ARollbackGoesOnWithTheTextBehindTheSpike) {
  for (const char* precision : {"fp32", "fp8"}) {
    const std::string name = precision;
    const Json result =
        train_and_resume(name,
                         settings({"stability.on_spike=rollback", "stability.max_in_a_row=9",
                                   concat("precision.compute=", precision)}),
                         24);
    const std::vector<Json> all = events(name);
    ASSERT_GE(all.size(), 1U) << name;
    EXPECT_EQ(result.at("step").as_integer(), 48);
    EXPECT_EQ(result.at("rollbacks").as_integer(), static_cast<int64_t>(all.size()));
    EXPECT_EQ(state_of(name).at("optimizer_steps").as_integer(), 48);
    int64_t read = 48;  // rows: those of the steps that count and of those that were gone back over
    for (const Json& event : all) {
      const int64_t step = event.at("step").as_integer();
      read += step - (step - 1) / 6 * 6;
    }
    EXPECT_EQ(state_of(name).at("data_position").at("cursor").as_integer(), read);
  }
}

// Killed behind a checkpoint that only an interruption wrote: it goes back to where it would have.
TEST_F(StabilityTest, ARollbackGoesBackToStepsOfItsOwnOnly) {
  const std::vector<std::string> set =
      settings({"stability.on_spike=rollback", "stability.max_in_a_row=9", "checkpoint.keep=1",
                "checkpoint.every_steps=5", "optimizer.constant_until_tokens=100000",
                "optimizer.decay_until_tokens=100001", "optimizer.tail_until_tokens=100002"});
  run_.train("whole", set);
  ASSERT_FALSE(events("whole").empty());
  const int64_t before = events("whole").front().at("step").as_integer() - 1;
  ASSERT_NE(before % 5, 0);  // or the interruption would have written a place of its own
  std::vector<std::string> until = set;
  until.push_back(concat("train.steps=", before));
  run_.train("cut", until);
  run_.train("cut", set, true);
  EXPECT_EQ(state_of("cut").at("stability"), state_of("whole").at("stability"));
  EXPECT_EQ(state_of("cut").at("data_position"), state_of("whole").at("data_position"));
  const std::string weights = "/latest/training_state.safetensors";
  EXPECT_EQ(test::read_bytes(run_.path("cut") + weights),
            test::read_bytes(run_.path("whole") + weights));
}

TEST_F(StabilityTest, AStopSaysWhatWasFoundAndKeepsTheRecord) {
  const std::string line = [&]() -> std::string {
    try {
      run_.train("a", settings({"stability.on_spike=stop"}));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }();
  EXPECT_NE(line.find("train: the loss of step "), std::string::npos) << line;
  EXPECT_NE(line.find("is a spike (found "), std::string::npos) << line;
  ASSERT_EQ(events("a").size(), 1U);
  EXPECT_EQ(events("a")[0].at("action"), Json("stop"));
}

TEST_F(StabilityTest, AStepThatIsNotFiniteIsSkippedOrGoneBackOver) {
  const std::string model = spoilt("\xCE\xB1\xCE\xB2\xCE\xB3\xD7\x90");
  const auto set = [&](const std::string& policy) {
    std::vector<std::string> all = settings(
        {"stability.on_not_finite=" + policy, "stability.max_in_a_row=9", "train.steps=24"});
    all.erase(all.begin());  // the tokenizer is the model's
    return all;
  };
  for (const std::string policy : {"skip", "rollback"}) {
    const Json result = run_.train_from(model, policy, set(policy));
    test::copy_as_killed_after(run_, policy, policy + "-cut", 12);
    run_.train_from(model, policy + "-cut", set(policy), true);
    EXPECT_EQ(test::differing_files(run_.path(policy) + "/latest",
                                    run_.path(policy + "-cut") + "/latest"),
              std::vector<std::string>{});
    ASSERT_FALSE(events(policy).empty());
    EXPECT_EQ(events(policy)[0].at("kind"), Json("loss_not_finite"));
    EXPECT_NE(events(policy)[0].at("where").as_string().find("hidden of layer 0"),
              std::string::npos);
    EXPECT_EQ(result.at("step").as_integer(), 24);
    EXPECT_EQ(result.at(policy == "skip" ? "skipped_steps" : "rollbacks").as_integer(),
              static_cast<int64_t>(events(policy).size()));
  }
}

TEST_F(StabilityTest, ARunThatDoesNotGetPastItStopsAfterSoMany) {
  const std::string model = spoilt("");
  for (const std::string policy : {"skip", "rollback"}) {
    const std::string line = [&]() -> std::string {
      try {
        run_.train_from(model, policy,
                        {"stability.on_not_finite=" + policy, "stability.max_in_a_row=2"});
      } catch (const Error& error) {
        return error.what();
      }
      return "";
    }();
    EXPECT_NE(line.find("is not finite"), std::string::npos) << line;
    // Each skip is a step that gets past it: only a rollback stays where it is.
    EXPECT_NE(line.find("after 2 in a row (stability.max_in_a_row)"), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(events(policy).size(), 3U);
    EXPECT_EQ(events(policy).back().at("action"), Json("stop"));
  }
}

TEST_F(StabilityTest, SettingsThatMakeNoSenseAreRefused) {
  const auto refused = [&](std::vector<std::string> set) {
    return test::refusal_of([&] { run_.train("wrong", set); }).field;
  };
  EXPECT_EQ(
      refused({"stability.on_spike=skip", "stability.loss_spike=0", "stability.gradient_spike=0"}),
      "stability.on_spike");
  EXPECT_EQ(refused({"stability.on_not_finite=rollback", "checkpoint.every_steps=0"}),
            "checkpoint.every_steps");
  EXPECT_EQ(refused({"stability.older_router_span=5"}), "stability.older_router_span");
  EXPECT_EQ(refused({"stability.on_spike=ignore"}), "stability.on_spike");
}

// The experts of weights two updates old, the gates of those of now.
TEST(RouterHistory, ChoosesByTheWeightsOfSoManyUpdatesAgo) {
  ThreadPool pool(2);
  Arena arena;
  Context ctx{pool, arena};
  DeepseekV3 model = make_model(small_shape(), arena);
  initialise_weights(model, arena, 3, 0.05F);
  TrainState state(arena, std::move(model), {}, false, 16, /*router_history=*/2);
  Param& router = state.model.layers[1].moe()->w_router;
  StepPlan plan;
  plan.learning_rate = 0.02;
  plan.micro_batch_sequences = 4;
  std::vector<Tensor> weights;
  for (uint64_t step = 0; step < 5; ++step) {
    weights.push_back(router.master.clone(arena));
    train_step(ctx, state, small_batch(4, 16, step), plan);
  }
  const Batch batch = small_batch(4, 16, 9);
  const auto load = [&](bool older) {
    plan.choose_by_older_router = older;
    const StepReport report = compute_gradients(ctx, state, batch, plan);
    drop_gradients(ctx, state);
    EXPECT_FALSE(report.not_finite.has_value());
    return report.load[1];
  };
  const std::vector<int64_t> now = load(false), before = load(true);
  EXPECT_NE(before, now);
  EXPECT_EQ(load(false), now);  // it does not stay
  const Tensor current = router.master.clone(arena);
  router.master.read_from(weights[3].raw());  // five updates were made: W_3 is two of them ago
  EXPECT_EQ(load(false), before);
  router.master.read_from(current.raw());
}

TEST_F(StabilityTest, OlderRoutersAreResumedBitForBit) {
  train_and_resume("always", settings({"stability.older_router_steps=3"}), 24);
  train_and_resume("span",
                   settings({"stability.on_spike=rollback", "stability.max_in_a_row=9",
                             "stability.older_router_steps=2", "stability.older_router_span=4"}),
                   24);
  int64_t by_older = 0;
  for (const Json& line : read_metrics(run_.path("span"), 1000)) {
    by_older += line.find("stability/older_router") ? 1 : 0;
  }
  EXPECT_GT(by_older, 0);
  EXPECT_LT(by_older, 40);
}

TEST(LayerFigures, AreTheNormsOfTheirParts) {
  ThreadPool pool(2);
  Arena arena;
  Context ctx{pool, arena};
  DeepseekV3 model = make_model(small_shape(), arena);
  initialise_weights(model, arena, 3, 0.05F);
  TrainState state(arena, std::move(model), {}, false, 16);
  StepPlan plan;
  plan.micro_batch_sequences = 2;
  plan.with_layers = true;
  const StepReport report = compute_gradients(ctx, state, small_batch(4, 16, 1), plan);
  const LayerFigures& figures = report.layers;
  ASSERT_EQ(figures.outputs.size(), 3U);  // dense, experts, MTP
  ASSERT_EQ(figures.grad_norms.size(), 3U);
  double rest = 0.0, parts = 0.0;
  for (const Trainable& each : state.optimizer.params()) {
    if (each.name != "model.norm.weight") continue;
    for (const float g : each.param->grad.flat<float>()) rest += double{g} * double{g};
  }
  for (const double norm : figures.grad_norms) parts += norm * norm;
  parts += std::pow(figures.embedding_grad_norm, 2) + std::pow(figures.head_grad_norm, 2) + rest;
  EXPECT_NEAR(std::sqrt(parts), report.grad_norm, 1e-9 * report.grad_norm);
  for (size_t layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(figures.outputs[layer].elements, (layer < 2 ? 4 * 16 : 4 * 15) * 32);
    EXPECT_GT(figures.outputs[layer].rms(), 0.0);
    EXPECT_GT(figures.outputs[layer].largest, figures.outputs[layer].rms());
    EXPECT_LT(figures.outputs[layer].largest, 20 * figures.outputs[layer].rms());
  }
  EXPECT_EQ(figures.idle_experts[0], -1);
  EXPECT_GE(figures.idle_experts[1], 0);
  EXPECT_GT(figures.expert_grad_max_over_mean[1], 1.0);
}

TEST_F(StabilityTest, LayerFiguresChangeNoWeightAndComeWhenAskedFor) {
  for (const char* precision : {"precision.compute=fp32", "precision.compute=fp8"}) {
    const std::string name = precision + 18;
    run_.train(name, {precision});
    run_.train(name + "-layers", {precision, "log.layers_every_steps=3"});
    EXPECT_EQ(test::differing_files(test::step_folder(run_, name, 8),
                                    test::step_folder(run_, name + "-layers", 8)),
              std::vector<std::string>{});
    std::vector<int64_t> steps;
    for (const Json& line : read_metrics(run_.path(name + "-layers"), 8)) {
      if (!line.find("layers/output_max/layer_01")) continue;
      steps.push_back(line.at("step").as_integer());
      EXPECT_TRUE(line.find("layers/grad_norm/layer_02"));
      EXPECT_TRUE(line.find("moe/idle_experts/layer_01"));
    }
    EXPECT_EQ(steps, (std::vector<int64_t>{1, 3, 6}));
  }
}

// The clamp is the model's: it is in its config.json, and a model that trains with it goes on with it.
TEST_F(StabilityTest, ASwigluLimitIsPartOfTheModel) {
  const std::vector<std::string> set = {"model.swiglu_limit=0.01"};
  run_.train("plain");
  run_.train("clamped", set);
  const auto limit = [&](const std::string& name) {
    return load_config(run_.path(name) + "/latest").swiglu_limit;
  };
  EXPECT_EQ(limit("plain"), 0.0);
  EXPECT_EQ(limit("clamped"), 0.01);
  EXPECT_NE(test::read_bytes(run_.path("plain") + "/latest/training_state.safetensors"),
            test::read_bytes(run_.path("clamped") + "/latest/training_state.safetensors"));
  test::copy_as_killed_after(run_, "clamped", "cut", 4);
  run_.train("cut", {}, true);
  EXPECT_EQ(test::differing_files(run_.path("clamped") + "/latest", run_.path("cut") + "/latest"),
            std::vector<std::string>{});
  EXPECT_EQ(test::refusal_of([&] { run_.train("cut", {"model.swiglu_limit=10"}, true); }).field,
            "model.swiglu_limit");
}

}  // namespace
}  // namespace hadal
