// Three optimizer steps with router bias updates against the reference (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "hadal/model/checkpoint.h"
#include "hadal/nn/moe.h"
#include "hadal/ops/compute_device.h"
#include "hadal/train/train_step.h"
#include "tests/support/devices.h"
#include "tests/support/golden_case.h"

namespace hadal::test {
namespace {

struct Hyper {
  explicit Hyper(const GoldenCase& golden) : json(golden.scalars.at("train").at("hyper")) {}
  double at(const char* name) const { return json.at(name).as_number(); }
  const Json& json;
};

StepPlan plan_of(const Hyper& hyper) {
  StepPlan plan;
  plan.learning_rate = hyper.at("lr");
  plan.clip_norm = hyper.at("max_grad_norm");
  plan.loss.mtp = static_cast<float>(hyper.at("mtp_lambda"));
  plan.loss.balance = static_cast<float>(hyper.at("balance_alpha"));
  plan.bias_gamma = hyper.at("bias_gamma");
  return plan;
}

AdamwConfig adamw_of(const Hyper& hyper) {
  AdamwConfig config;
  config.beta1 = hyper.at("beta1");
  config.beta2 = hyper.at("beta2");
  config.eps = hyper.at("eps");
  config.weight_decay = hyper.at("weight_decay");
  return config;
}

Batch batch_of(const TokenLists& lists) {
  Batch batch;
  batch.n_sequences = static_cast<int64_t>(lists.size());
  batch.length = static_cast<int64_t>(lists.front().size()) - 1;
  for (const auto& ids : lists) {
    batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.end() - 1);
    batch.targets.insert(batch.targets.end(), ids.begin() + 1, ids.end());
  }
  return batch;
}

// Values 1e-5 each, the change since the start 1e-3 pooled, a row 1e-5 of its values and 1e-3 of its
// change, biases 1e-6 absolute.
void expect_parameters(const GoldenCase& golden, int step, const std::vector<NamedParam>& params,
                       const std::vector<Tensor>& initial) {
  SquaredError change;
  int64_t compared = 0;
  // All parameters of the last step, of others at least the biases.
  const std::string prefix = concat("step", step, ".");
  const std::vector<std::string> names = golden.names_with(prefix);
  const auto is_bias = [](const NamedParam& each) { return each.kind == ParamKind::kRouteBias; };
  const bool all = step == golden.n_training_steps() ||
                   std::ssize(names) > std::ranges::count_if(params, is_bias);
  for (size_t i = 0; i < params.size(); ++i) {
    const std::string name = prefix + params[i].name;
    if (!all && !is_bias(params[i])) continue;
    ++compared;
    const Tensor want = golden.at(name);
    const Tensor master = params[i].param->master.to_host();
    const auto got = master.flat<float>();
    if (is_bias(params[i])) {
      for (size_t e = 0; e < got.size(); ++e) {
        EXPECT_NEAR(got[e], want.flat<float>()[e], 1e-6) << name << " expert " << e;
      }
      continue;
    }
    ASSERT_EQ(master.shape(), want.shape()) << name;
    SquaredError values;
    for (int64_t r = 0; r < want.size() / row_length(want); ++r) {
      SquaredError row, moved;
      row.add(row_of(master, r), row_of(want, r));
      moved.add(row_of(initial[i], r), row_of(want, r));
      EXPECT_LE(std::sqrt(row.difference),
                1e-5 * std::sqrt(row.wanted) + 1e-3 * std::sqrt(moved.difference))
          << name << " row " << r;
      values.difference += row.difference;
      values.wanted += row.wanted;
      change.difference += row.difference;
      change.wanted += moved.difference;
    }
    EXPECT_LE(values.relative(), 1e-5) << name;
  }
  EXPECT_LE(change.wanted > 0.0 ? change.relative() : 0.0, 1e-3) << "change after step " << step;
  EXPECT_GT(compared, 0);
  EXPECT_EQ(compared, std::ssize(names))
      << "tensors of step " << step << " that no parameter carries the name of";
}

void run_case(Device kind, const GoldenCase& golden, int64_t micro_batch_sequences) {
  SCOPED_TRACE(concat(golden.folder, ", micro-batches of ", micro_batch_sequences));
  const Hyper hyper(golden);
  ThreadPool pool(2);
  const ComputeDevice device(kind);
  Arena arena(device.memory());
  Context ctx = device.context(pool, arena);
  const auto length = static_cast<int64_t>(golden.training_lists(1).front().size()) - 1;
  TrainState state(arena, load_model(ctx, golden.checkpoints.front()), adamw_of(hyper), false,
                   length);
  Arena host;
  std::vector<Tensor> initial;
  for (const NamedParam& each : state.params) initial.push_back(each.param->master.clone(host));

  const auto is_bias = [](const NamedParam& each) { return each.kind == ParamKind::kRouteBias; };
  const auto n_with_experts = static_cast<size_t>(std::ranges::count_if(state.params, is_bias));
  StepPlan plan = plan_of(hyper);
  plan.micro_batch_sequences = micro_batch_sequences;
  const auto n_steps = static_cast<int>(hyper.at("steps"));
  ASSERT_EQ(n_steps, golden.n_training_steps());
  for (int step = 1; step <= n_steps; ++step) {
    const StepReport report = train_step(ctx, state, batch_of(golden.training_lists(step)), plan);
    const Json& want =
        golden.scalars.at("train").at("steps").as_array()[static_cast<size_t>(step - 1)];
    const double total = want.at("loss_total").as_number();
    EXPECT_NEAR(report.total_loss, total, 1e-5 * total);
    const double norm = want.at("grad_norm_before_clip").as_number();
    EXPECT_NEAR(report.grad_norm, norm, 1e-5 * norm);
    EXPECT_NEAR(report.clip, want.at("clip_factor").as_number(), 1e-5);
    EXPECT_EQ(want.at("expert_load").as_object().size(), n_with_experts);
    for (const auto& [layer, load] : want.at("expert_load").as_object()) {
      const auto& got = report.load[static_cast<size_t>(std::stoi(layer))];
      EXPECT_EQ(Json::array_of(got), load) << "expert load of layer " << layer;
    }
    expect_parameters(golden, step, state.params, initial);
  }
}

// On the CPU, and on the card if there is one.
class GoldenSteps : public ::testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, GoldenSteps, ::testing::ValuesIn(computing_devices()),
                         [](const auto& param) { return device_name(param.param); });

TEST_P(GoldenSteps, ThreeStepsFollowTheReference) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::has_training)) {
    run_case(GetParam(), golden, 2);
  }
}

TEST_P(GoldenSteps, MicroBatchesAddUpToTheSameSteps) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::has_training)) {
    run_case(GetParam(), golden, 1);
  }
}

}  // namespace
}  // namespace hadal::test
