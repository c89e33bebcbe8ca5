#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/layer_differences.h"

namespace hadal::test {

namespace {

constexpr int64_t kLayerTokens = 13;

Sequences two_sequences() {
  Sequences sequences;
  sequences.offsets = {0, 5, kLayerTokens};
  return sequences;
}

TEST(Layers, LinearBackward) {
  RandomModel random(odd_config());
  Linear& layer = random.model.layers[0].attn.w_o;
  Linear::Saved saved;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kLayerTokens, layer.d_in(), 1));
  test.params = {&layer.weight};
  test.forward = [&](const auto& x) {
    saved.x = layer.input(random.ctx, x[0]);
    return layer.forward(random.ctx, saved.x);
  };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(layer.backward_input(random.ctx, std::move(dy), saved));
    Products products{random.ctx};
    layer.backward_weight(products, std::move(saved));
    products.run();
    return dx;
  };
  expect_backward_matches_differences(random.ctx, test, 1, "linear");
}

TEST(Layers, RmsNormBackward) {
  RandomModel random(odd_config());
  RmsNorm& layer = random.model.final_norm;
  RmsNorm::Saved saved;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kLayerTokens, random.model.config.d_model, 2));
  test.params = {&layer.weight};
  test.forward = [&](const auto& x) { return layer.forward(random.ctx, x[0], saved); };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(layer.backward_input(random.ctx, std::move(dy), saved));
    layer.backward_weight(random.ctx, std::move(saved));
    return dx;
  };
  expect_backward_matches_differences(random.ctx, test, 2, "rmsnorm");
}

TEST(Layers, FfnBackward) {
  RandomModel random(odd_config());
  Ffn& layer = std::get<Ffn>(random.model.layers[0].ffn);
  Ffn::Saved saved;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kLayerTokens, random.model.config.d_model, 3));
  test.params = params_under(random.model, "model.layers.0.mlp.");
  test.forward = [&](const auto& x) { return layer.forward(random.ctx, x[0], {}, saved); };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(layer.backward_input(random.ctx, std::move(dy), test.inputs[0], saved));
    Products products{random.ctx};
    layer.backward_weight(products, std::move(saved));
    products.run();
    return dx;
  };
  expect_backward_matches_differences(random.ctx, test, 3, "ffn");
}

void check_mla(const ModelConfig& config, const std::string& what) {
  RandomModel random(config);
  Mla& layer = random.model.layers[0].attn;
  const Pass pass = Pass::over(two_sequences(), random.model.rope);
  Mla::Saved saved;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kLayerTokens, config.d_model, 4));
  test.params = params_under(random.model, "model.layers.0.self_attn.");
  test.forward = [&](const auto& x) {
    saved = {};
    return layer.forward(random.ctx, x[0], pass, saved);
  };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(layer.backward_input(random.ctx, std::move(dy), test.inputs[0], pass, saved));
    layer.backward_weight(random.ctx, std::move(saved));
    return dx;
  };
  expect_backward_matches_differences(random.ctx, test, 4, what);
}

TEST(Layers, MlaBackward) { check_mla(odd_config(), "mla"); }

TEST(Layers, MlaBackwardWithoutQueryLatent) {
  ModelConfig config = odd_config();
  config.q_lora_rank = 0;
  config.yarn.reset();
  check_mla(config, "mla without query latent");
}

// The rows the cache keeps and the queries are those of the MHA form.
TEST(Layers, MlaLatentRowsAndQueriesAreThoseOfForward) {
  for (const int64_t q_lora_rank : {int64_t{0}, int64_t{14}}) {
    ModelConfig config = odd_config();
    config.q_lora_rank = q_lora_rank;
    RandomModel random(config);
    Context& ctx = random.ctx;
    const Mla& mla = random.model.layers[0].attn;
    const Pass pass = Pass::over(Sequences::equal(1, kLayerTokens), random.model.rope);
    const Tensor x = random.random_rows(kLayerTokens, config.d_model, 5);
    Mla::Saved saved;
    const Tensor y = mla.forward(ctx, x, pass, saved);

    const auto [q, rows] = mla.queries_and_latents(ctx, x, random.model.rope, pass.positions);
    const int64_t d_c = mla.kv_lora_rank;
    Tensor c_kv = ctx.empty({kLayerTokens, d_c});
    for (int64_t t = 0; t < kLayerTokens; ++t) {
      std::ranges::copy(rows.mat().columns(0, d_c).row(t), c_kv.mat().row(t).begin());
    }
    const Tensor kv = mla.w_ukv.forward(ctx, c_kv);
    const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
    Tensor o = ctx.empty({kLayerTokens, n_heads * d_v}), lse = ctx.empty({kLayerTokens, n_heads});
    attention_forward(
        ctx, View<float, 3>(o.mat().data(), {kLayerTokens, n_heads, d_v}), lse.mat(),
        View<const float, 3>(q.mat().data(), {kLayerTokens, n_heads, d_nope + d_rope}),
        View<const float, 3>(kv.mat().data(), {kLayerTokens, n_heads, d_nope + d_v}),
        rows.mat().columns(d_c, d_c + d_rope), pass.sequences, mla.dims, mla.softmax_scale);
    expect_close(mla.w_o.forward(ctx, o), y, Tolerance::exact(), "u from the cached rows");
  }
}

TEST(Layers, DecoderLayerBackward) {
  for (const size_t index : {size_t{0}, size_t{1}}) {  // dense, then experts
    RandomModel random(odd_config(), 3);
    DecoderLayer& layer = random.model.layers[index];
    const Pass pass = Pass::over(two_sequences(), random.model.rope);
    TrainingAttention attention(pass);
    LocalDispatcher dispatcher;
    DecoderLayer::Saved saved;
    std::vector<int64_t> load;
    LayerUnderTest test;
    test.inputs.push_back(random.random_rows(kLayerTokens, random.model.config.d_model, 6));
    test.params = params_under(random.model, concat("model.layers.", index, "."));
    test.forward = [&](const auto& x) {
      saved = {};
      auto [y, routing] =
          layer.forward(random.ctx, attention, dispatcher, x[0].share(), pass, saved);
      load = std::move(routing.load);
      return std::move(y);
    };
    test.backward = [&](Tensor dy) {
      std::vector<Tensor> dx;
      dx.push_back(layer.backward_input(random.ctx, dispatcher, std::move(dy), pass, saved));
      layer.backward_weight(random.ctx, std::move(saved));
      return dx;
    };
    test.choice = [&] { return load; };
    expect_backward_matches_differences(random.ctx, test, 7, concat("decoder layer ", index));
  }
}

TEST(Layers, MtpBlockBackward) {
  RandomModel random(odd_config());
  MtpBlock& block = random.model.mtp[0];
  const Pass pass = Pass::over(two_sequences(), random.model.rope);
  TrainingAttention attention(pass);
  LocalDispatcher dispatcher;
  MtpBlock::Saved saved;
  std::vector<int64_t> load;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kLayerTokens, random.model.config.d_model, 8));
  test.inputs.push_back(random.random_rows(kLayerTokens, random.model.config.d_model, 9));
  test.params = params_under(random.model, concat("model.layers.", block.layer.index, "."));
  test.forward = [&](const auto& x) {
    saved = {};
    MtpBlock::Output out =
        block.forward(random.ctx, attention, dispatcher, x[0], x[1], pass, saved);
    load = std::move(out.routing.load);
    return std::move(out.normed);
  };
  test.backward = [&](Tensor dy) {
    Tensor dhidden = block.head_backward_input(random.ctx, std::move(dy), {}, saved);
    Tensor dx_layer =
        block.layer.backward_input(random.ctx, dispatcher, std::move(dhidden), pass, saved.layer);
    MtpBlock::InputGradient gradient =
        block.combine_backward_input(random.ctx, std::move(dx_layer), saved);
    block.backward_weight(random.ctx, std::move(saved));
    std::vector<Tensor> dx;
    dx.push_back(std::move(gradient.embedded));
    dx.push_back(std::move(gradient.state));
    return dx;
  };
  test.choice = [&] { return load; };
  expect_backward_matches_differences(random.ctx, test, 9, "mtp block");
}

}  // namespace
}  // namespace hadal::test
