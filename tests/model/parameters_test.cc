// Names, kinds, shapes and first values of parameters.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "hadal/model/hf_names.h"
#include "tests/support/random_model.h"

namespace hadal::test {
namespace {

std::map<std::string, Tensor::Shape> shapes_of(const ModelConfig& config) {
  Arena arena;
  DeepseekV3 model = make_model(config, arena);
  std::map<std::string, Tensor::Shape> shapes;
  for (const NamedParam& each : named_params(model)) {
    EXPECT_TRUE(shapes.emplace(each.name, each.shape).second) << each.name << " twice";
    EXPECT_EQ(each.shape, each.param->master.shape());
    EXPECT_FALSE(each.param->master.has_data());
  }
  return shapes;
}

// docs/formats.md, "Tensors of a checkpoint", without allocating 671 billion parameters.
TEST(Parameters, NamesAndShapesOfDeepseekV3) {
  const ModelConfig config;
  const auto shapes = shapes_of(config);
  const auto expect = [&](const std::string& name, const Tensor::Shape& shape) {
    ASSERT_TRUE(shapes.contains(name)) << name;
    EXPECT_EQ(shapes.at(name), shape) << name;
  };
  expect("model.embed_tokens.weight", {129280, 7168});
  expect("model.layers.0.self_attn.q_a_proj.weight", {1536, 7168});
  expect("model.layers.0.self_attn.q_b_proj.weight", {24576, 1536});
  expect("model.layers.60.self_attn.kv_a_proj_with_mqa.weight", {576, 7168});
  expect("model.layers.60.self_attn.kv_b_proj.weight", {32768, 512});
  expect("model.layers.60.self_attn.o_proj.weight", {7168, 16384});
  expect("model.layers.2.mlp.gate_proj.weight", {18432, 7168});
  expect("model.layers.3.mlp.gate.weight", {256, 7168});
  expect("model.layers.3.mlp.gate.e_score_correction_bias", {256});
  expect("model.layers.3.mlp.experts.255.down_proj.weight", {7168, 2048});
  expect("model.layers.3.mlp.shared_experts.up_proj.weight", {2048, 7168});
  expect("model.layers.61.eh_proj.weight", {7168, 14336});
  expect("model.layers.61.shared_head.norm.weight", {7168});
  expect("lm_head.weight", {129280, 7168});
  const ParameterCount count = count_parameters(config);
  int64_t total = 0;
  for (const auto& [name, shape] : shapes) {
    int64_t n = 1;
    for (const int64_t extent : shape) n *= extent;
    total += n;
  }
  EXPECT_EQ(count.total, 671026419200);
  EXPECT_EQ(count.mtp, 11610068224);
  EXPECT_EQ(total, count.total + count.mtp);
}

TEST(Parameters, WithoutQueryLatentOrBiasOrUntiedHead) {
  ModelConfig config = odd_config();
  config.q_lora_rank = 0;
  config.tie_word_embeddings = true;
  config.router.method = TopkMethod::kGroupLimitedGreedy;
  config.router.scoring = ScoringFunction::kSoftmax;
  const auto shapes = shapes_of(config);
  EXPECT_TRUE(shapes.contains("model.layers.1.self_attn.q_proj.weight"));
  for (const auto& [name, shape] : shapes) {
    EXPECT_EQ(name.find("q_a_"), std::string::npos) << name;
    EXPECT_EQ(name.find("e_score_correction_bias"), std::string::npos) << name;
    EXPECT_NE(name, "lm_head.weight");
  }
}

TEST(Parameters, CopiesInsideMtpLayers) {
  ModelConfig config = odd_config();
  const auto copies = hf_mtp_copies(config);
  ASSERT_EQ(copies.size(), 2U);
  EXPECT_EQ(copies[0].name, "model.layers.3.embed_tokens.weight");
  EXPECT_EQ(copies[0].of, "model.embed_tokens.weight");
  EXPECT_EQ(copies[1].name, "model.layers.3.shared_head.head.weight");
  EXPECT_EQ(copies[1].of, "lm_head.weight");
  config.tie_word_embeddings = true;
  EXPECT_EQ(hf_mtp_copies(config)[1].of, "model.embed_tokens.weight");
}

TEST(Parameters, LayerOfAName) {
  EXPECT_EQ(hf_layer_of("model.layers.61.eh_proj.weight"), 61);
  EXPECT_EQ(hf_layer_of("model.layers.0.mlp.gate.weight"), 0);
  EXPECT_EQ(hf_layer_of("model.norm.weight"), -1);
  EXPECT_EQ(hf_layer_of("model.layers."), -1);
  EXPECT_EQ(hf_layer_of("model.layers.7"), -1);
  EXPECT_EQ(hf_layer_of("model.layers.-1.x"), -1);
  EXPECT_EQ(hf_layer_of("model.layers.99999999999999999999.x"), -1);
}

TEST(Parameters, FirstValues) {
  Arena arena;
  DeepseekV3 model = make_model(odd_config(), arena), again = make_model(odd_config(), arena);
  initialise_weights(model, arena, 5);
  initialise_weights(again, arena, 5);
  const auto params = named_params(model), same = named_params(again);
  std::set<float> firsts;
  double sum = 0.0, squares = 0.0;
  int64_t count = 0;
  for (size_t i = 0; i < params.size(); ++i) {
    const auto values = std::as_const(params[i].param->master).flat<float>();
    const auto others = std::as_const(same[i].param->master).flat<float>();
    EXPECT_TRUE(std::ranges::equal(values, others)) << "the same seed, other values";
    if (params[i].kind != ParamKind::kMatrix) {
      const float want = params[i].kind == ParamKind::kNorm ? 1.0F : 0.0F;
      for (const float value : values) EXPECT_EQ(value, want) << params[i].name;
      continue;
    }
    EXPECT_TRUE(firsts.insert(values[0]).second) << params[i].name << " repeats another stream";
    for (const float value : values) {
      sum += double{value};
      squares += double{value} * double{value};
      ++count;
    }
  }
  const auto n = static_cast<double>(count);
  EXPECT_NEAR(sum / n, 0.0, 5.0 * 0.006 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n), 0.006, 5.0 * 0.006 / std::sqrt(2.0 * n));
}

TEST(Parameters, GradientsOfAllButTheRouteBias) {
  RandomModel random(odd_config());
  allocate_gradients(random.model, random.arena);
  for (const NamedParam& each : named_params(random.model)) {
    EXPECT_EQ(each.param->grad.has_data(), each.kind != ParamKind::kRouteBias) << each.name;
  }
}

}  // namespace
}  // namespace hadal::test
