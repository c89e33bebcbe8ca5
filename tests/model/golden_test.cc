// Every check of tests/golden/README.md that concerns one pass of the model, on every case found.
// Tolerances are the README's.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "hadal/model/checkpoint.h"
#include "hadal/model/dump.h"
#include "hadal/model/precision.h"
#include "hadal/nn/linear.h"
#include "hadal/ops/compute_device.h"
#include "hadal/ops/quantize.h"
#include "tests/support/devices.h"
#include "tests/support/golden_case.h"

namespace hadal::test {
namespace {

constexpr DumpParts kAllParts{true, true, true, true};

// On the CPU, and on the card if there is one.
class GoldenTest : public ::testing::TestWithParam<Device> {
 protected:
  DeepseekV3 load(const GoldenCase& golden) { return load_model(ctx_, golden.checkpoints.front()); }

  ThreadPool pool_{2};
  const ComputeDevice device_{GetParam()};
  Arena arena_{device_.memory()};
  Context ctx_ = device_.context(pool_, arena_);
  std::vector<GoldenCase> cases_ = golden_cases();
};
INSTANTIATE_TEST_SUITE_P(Devices, GoldenTest, ::testing::ValuesIn(computing_devices()),
                         [](const auto& param) { return device_name(param.param); });

std::map<std::string, Tensor> by_name(std::vector<NamedTensor> tensors) {
  std::map<std::string, Tensor> result;
  for (NamedTensor& each : tensors) {
    EXPECT_FALSE(result.contains(each.name)) << each.name << " dumped twice";
    result.emplace(each.name, each.tensor.to_host());
  }
  return result;
}

// "seq3.mtp.1.logits" -> "mtp.1.logits"
std::string after_sequence(const std::string& name) { return name.substr(name.find('.') + 1); }

// Compares every golden tensor that `wanted` selects with the tensor `ours` of `got`: as many as the
// case asks for.
template <class Wanted, class Ours>
void compare(const GoldenCase& golden, const std::map<std::string, Tensor>& got, double bound,
             Wanted wanted, Ours ours) {
  int64_t compared = 0;
  const auto selected = [&](const std::string& name) {
    return name.starts_with("seq") && wanted(after_sequence(name));
  };
  for (const std::string& name : golden.names_with("seq")) {
    if (!selected(name)) continue;
    const auto found = got.find(ours(name));
    if (found == got.end()) {
      ADD_FAILURE() << name << ": not dumped";
      continue;
    }
    expect_golden(found->second, golden.at(name), bound, name);
    ++compared;
  }
  EXPECT_GE(compared, std::ranges::count_if(golden.required_tensors(), selected));
  EXPECT_GT(compared, 0);
}

std::string without(std::string name, const std::string& part, const std::string& instead) {
  return name.replace(name.find(part), part.size(), instead);
}

TEST_P(GoldenTest, CommittedCasesAreThere) {
  const std::string root = HADAL_GOLDEN_DIR;
  for (const char* name : {"/a_yarn_mtp", "/b_moonlight", "/c2_fp8_ue8m0", "/f_tied"}) {
    const auto has_name = [&](const GoldenCase& each) { return each.folder == root + name; };
    EXPECT_EQ(std::ranges::count_if(cases_, has_name), 1) << name;
  }
}

// What golden.json and config.json say is there is there, and nothing is there that no test reads.
TEST_P(GoldenTest, CasesHoldWhatTheyNameAndNothingElse) {
  for (const GoldenCase& golden : cases_) {
    SCOPED_TRACE(golden.folder);
    const std::vector<std::string> required = golden.required_tensors();
    for (const std::string& name : required) EXPECT_TRUE(golden.has(name)) << name;
    std::set<std::string> known(required.begin(), required.end());
    for (const std::string& name : golden.names_with("")) {
      const bool of_a_parameter = golden.has_training()
                                      ? name.starts_with("grad.") || name.starts_with("step")
                                      : name.starts_with("trace.");
      const bool of_a_pass = name.starts_with("seq");  // more sequences in full than asked for
      EXPECT_TRUE(known.contains(name) || of_a_parameter || of_a_pass) << name;
    }
    EXPECT_EQ(golden.names_with("trace.").empty(), !golden.is_fp8());
    const TokenLists sequences = golden.sequences();
    for (size_t s = 0; s < sequences.size(); ++s) {
      EXPECT_EQ(Json::array_of(sequences[s]), golden.scalars.at("prefill").as_array()[s].at("ids"));
    }
  }
}

TEST_P(GoldenTest, LogitsHiddenStatesRoutingAndMtp) {
  for (const GoldenCase& golden : cases_) {
    for (const std::string& folder : golden.checkpoints) {
      SCOPED_TRACE(folder);
      const DeepseekV3 model = load_model(ctx_, folder);
      const auto got = by_name(dump_inference(ctx_, model, golden.sequences(), kAllParts));
      compare(
          golden, got, 1e-5,
          [](const std::string& name) {
            return name == "logits" || name == "final_norm" || name.starts_with("hidden.") ||
                   name.starts_with("router.") || name.starts_with("mtp.");
          },
          [](const std::string& name) { return name; });
    }
  }
}

TEST_P(GoldenTest, MtpThatReceivesUnnormalisedStates) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::has_pre_norm_mtp)) {
    SCOPED_TRACE(golden.folder);
    DeepseekV3 model = load(golden);
    model.config.mtp_hidden = MtpHidden::kPreNorm;
    const auto got = by_name(dump_inference(ctx_, model, golden.sequences(), {.mtp = true}));
    compare(
        golden, got, 1e-5,
        [](const std::string& name) { return name.starts_with("mtp_pre_norm."); },
        [](const std::string& name) { return without(name, "mtp_pre_norm", "mtp"); });
  }
}

Precision fp8_precision(const ModelConfig& config) {
  return config.fp8_power_of_two_scales ? Precision::kFp8InputPowerOfTwo : Precision::kFp8Input;
}

TEST_P(GoldenTest, Fp8ActivationsEndToEnd) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::is_fp8)) {
    SCOPED_TRACE(golden.folder);
    DeepseekV3 model = load(golden);
    set_precision(model, fp8_precision(model.config));
    const auto got =
        by_name(dump_inference(ctx_, model, golden.sequences(), {.logits = true, .mtp = true}));
    const auto ours = [](const std::string& name) { return without(name, "fp8_gemm.", ""); };
    const auto wanted = [](const std::string& name) { return name.starts_with("fp8_gemm."); };
    compare(golden, got, 1e-2, wanted, ours);
    for (const std::string& name : golden.names_with("seq")) {
      if (!wanted(after_sequence(name))) continue;
      EXPECT_GE(top1_agreement(got.at(ours(name)), golden.at(name)), 0.98) << name;
    }
    // Plain products are farther away than the bound: the tiles were really used.
    set_precision(model, Precision::kF32);
    const auto plain = by_name(dump_inference(ctx_, model, golden.sequences(), {.logits = true}));
    SquaredError distance;
    const Tensor with_tiles = golden.at("seq1.fp8_gemm.logits");
    distance.add(plain.at("seq1.logits").flat<float>(), with_tiles.flat<float>());
    EXPECT_GT(distance.relative(), 2e-2);
  }
}

TEST_P(GoldenTest, Fp8TracesOfSingleLinears) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::is_fp8)) {
    SCOPED_TRACE(golden.folder);
    int64_t compared = 0;
    DeepseekV3 model = load(golden);
    for (NamedParam& each : named_params(model)) {
      const std::string prefix =
          "trace." + each.name.substr(0, each.name.size() - std::string(".weight").size());
      if (!golden.has(prefix + ".x")) continue;
      const Tensor x = golden.at(prefix + ".x").placed_in(arena_);
      const Tensor want_scale = golden.at(prefix + ".scale");
      Tensor codes = ctx_.empty(x.shape(), DType::kF8E4M3);
      Tensor scale = ctx_.empty(want_scale.shape());
      quantize_tiles(ctx_, codes.view<f8e4m3, 2>(), scale.mat(), x.mat(),
                     {.power_of_two = model.config.fp8_power_of_two_scales});
      expect_golden(codes.to_host(), golden.at(prefix + ".codes"), 0.0, prefix + ".codes");
      expect_golden(scale.to_host(), want_scale, 0.0, prefix + ".scale");

      Linear linear;
      linear.weight.master = each.param->master.share();
      linear.precision = fp8_precision(model.config);
      expect_golden(linear.forward(ctx_, x).to_host(), golden.at(prefix + ".y"), 1e-5,
                    prefix + ".y");
      compared += 4;
    }
    EXPECT_GT(compared, 0);
    EXPECT_EQ(compared, std::ssize(golden.names_with("trace."))) << "no linear of this name";
  }
}

struct HyperParameters {
  LossWeights weights;
  const Json* step;  // the reference's record of the step
};

HyperParameters training_of(const GoldenCase& golden, size_t step) {
  const Json& train = golden.scalars.at("train");
  const Json& hyper = train.at("hyper");
  LossWeights weights;
  weights.mtp = static_cast<float>(hyper.at("mtp_lambda").as_number());
  weights.balance = static_cast<float>(hyper.at("balance_alpha").as_number());
  return {weights, &train.at("steps").as_array()[step - 1]};
}

void expect_relative(double got, double want, double bound, const std::string& what) {
  EXPECT_LE(std::abs(got - want), bound * std::abs(want)) << what << ": " << got << " vs " << want;
}

TEST_P(GoldenTest, LossesAndGradients) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::has_training)) {
    SCOPED_TRACE(golden.folder);
    const TokenLists lists = golden.training_lists(1);
    const auto [weights, step] = training_of(golden, 1);
    DeepseekV3 model = load(golden);
    allocate_gradients(model, arena_);
    const auto got = by_name(dump_gradients(ctx_, model, lists, weights));
    const auto loss = [&](const std::string& name) {
      return double{got.at("loss." + name).flat<float>()[0]};
    };
    expect_relative(loss("total"), step->at("loss_total").as_number(), 1e-5, "loss.total");
    expect_relative(loss("ce"), step->at("ce").as_number(), 1e-5, "loss.ce");
    expect_relative(loss("balance"), step->at("balance_sum").as_number(), 1e-5, "loss.balance");
    const Json::Array& mtp = step->at("mtp").as_array();
    EXPECT_EQ(mtp.size(), model.mtp.size());
    for (size_t k = 0; k < mtp.size(); ++k) {
      const std::string name = concat("mtp.", k + 1);
      expect_relative(loss(name), mtp[k].as_number(), 1e-5, name);
    }
    SquaredError pooled;
    int64_t compared = 0;
    for (const NamedParam& each : named_params(model)) {
      if (each.kind == ParamKind::kRouteBias) continue;  // moved by load, not by a gradient
      const std::string name = "grad." + each.name;
      const SquaredError error = expect_golden(got.at(name), golden.at(name), kGradientBound, name);
      pooled.difference += error.difference;
      pooled.wanted += error.wanted;
      ++compared;
    }
    EXPECT_EQ(compared, std::ssize(golden.names_with("grad."))) << "no parameter of this name";
    EXPECT_LE(pooled.relative(), 1e-5);
  }
}

TEST_P(GoldenTest, BalanceLossCountedOnTheRoutedExperts) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::has_training)) {
    SCOPED_TRACE(golden.folder);
    const TokenLists lists = golden.training_lists(1);
    auto [weights, step] = training_of(golden, 1);
    weights.balance_count = BalanceCount::kChosen;
    const DeepseekV3 model = load(golden);
    const auto got = by_name(dump_loss(ctx_, model, lists, weights));
    expect_relative(double{got.at("loss.balance").flat<float>()[0]},
                    step->at("balance_sum_if_counted_on_routed_experts").as_number(), 1e-5,
                    "balance counted on the routed experts");
  }
}

}  // namespace
}  // namespace hadal::test
