#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/layer_differences.h"

namespace hadal::test {

namespace {

constexpr int64_t kTokens = 13;

Sequences two_sequences() {
  Sequences sequences;
  sequences.offsets = {0, 5, kTokens};
  return sequences;
}

TEST(Layers, LinearBackward) {
  RandomModel random(odd_config());
  Linear& layer = random.model.layers[0].attn.w_o;
  Linear::Saved saved;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kTokens, layer.d_in(), 1));
  test.params = {&layer.weight};
  test.forward = [&](const auto& x) { return layer.forward(random.ctx, x[0], saved); };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(layer.backward_input(random.ctx, std::move(dy), saved));
    layer.backward_weight(random.ctx, std::move(saved));
    return dx;
  };
  expect_backward_matches_differences(random.ctx, test, 1, "linear");
}

TEST(Layers, RmsNormBackward) {
  RandomModel random(odd_config());
  RmsNorm& layer = random.model.final_norm;
  RmsNorm::Saved saved;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kTokens, random.model.config.d_model, 2));
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
  test.inputs.push_back(random.random_rows(kTokens, random.model.config.d_model, 3));
  test.params = params_under(random.model, "model.layers.0.mlp.");
  test.forward = [&](const auto& x) { return layer.forward(random.ctx, x[0], saved); };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(layer.backward_input(random.ctx, std::move(dy), saved));
    layer.backward_weight(random.ctx, std::move(saved));
    return dx;
  };
  expect_backward_matches_differences(random.ctx, test, 3, "ffn");
}

void check_mla(const ModelConfig& config, const std::string& what) {
  RandomModel random(config);
  Mla& layer = random.model.layers[0].attn;
  const Sequences sequences = two_sequences();
  Mla::Saved saved;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kTokens, config.d_model, 4));
  test.params = params_under(random.model, "model.layers.0.self_attn.");
  test.forward = [&](const auto& x) {
    saved = {};
    return layer.forward(random.ctx, x[0], sequences, random.model.rope, saved);
  };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(
        layer.backward_input(random.ctx, std::move(dy), sequences, random.model.rope, saved));
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
    const Sequences sequences = Sequences::equal(1, kTokens);
    const Tensor x = random.random_rows(kTokens, config.d_model, 5);
    Mla::Saved saved;
    const Tensor y = mla.forward(ctx, x, sequences, random.model.rope, saved);

    const std::vector<int32_t> positions = positions_of(sequences);
    const Tensor rows = mla.latent_rows(ctx, x, random.model.rope, positions);
    const Tensor q = mla.queries(ctx, x, random.model.rope, positions);
    const int64_t d_c = mla.kv_lora_rank;
    Tensor c_kv = ctx.empty({kTokens, d_c});
    for (int64_t t = 0; t < kTokens; ++t) {
      std::ranges::copy(rows.mat().columns(0, d_c).row(t), c_kv.mat().row(t).begin());
    }
    const Tensor kv = mla.w_ukv.forward(ctx, c_kv);
    const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
    Tensor o = ctx.empty({kTokens, n_heads * d_v}), lse = ctx.empty({kTokens, n_heads});
    attention_forward(ctx, View<float, 3>(o.mat().data(), {kTokens, n_heads, d_v}), lse.mat(),
                      View<const float, 3>(q.mat().data(), {kTokens, n_heads, d_nope + d_rope}),
                      View<const float, 3>(kv.mat().data(), {kTokens, n_heads, d_nope + d_v}),
                      rows.mat().columns(d_c, d_c + d_rope), sequences, mla.dims,
                      mla.softmax_scale);
    expect_close(mla.w_o.forward(ctx, o), y, Tolerance::exact(), "u from the cached rows");
  }
}

TEST(Layers, DecoderLayerBackward) {
  for (const size_t index : {size_t{0}, size_t{1}}) {  // dense, then experts
    RandomModel random(odd_config(), 3);
    DecoderLayer& layer = random.model.layers[index];
    const Sequences sequences = two_sequences();
    const Pass pass{sequences, random.model.rope, {}};
    DecoderLayer::Saved saved;
    std::vector<int64_t> load;
    LayerUnderTest test;
    test.inputs.push_back(random.random_rows(kTokens, random.model.config.d_model, 6));
    test.params = params_under(random.model, concat("model.layers.", index, "."));
    test.forward = [&](const auto& x) {
      saved = {};
      Tensor y = layer.forward(random.ctx, x[0].share(), pass, saved);
      if (const auto* moe = std::get_if<Moe::Saved>(&saved.ffn)) load = moe->load;
      return y;
    };
    test.backward = [&](Tensor dy) {
      std::vector<Tensor> dx;
      dx.push_back(layer.backward_input(random.ctx, std::move(dy), pass, saved));
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
  const Sequences sequences = two_sequences();
  const Pass pass{sequences, random.model.rope, {}};
  MtpBlock::Saved saved;
  std::vector<int64_t> load;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kTokens, random.model.config.d_model, 8));
  test.inputs.push_back(random.random_rows(kTokens, random.model.config.d_model, 9));
  test.params = params_under(random.model, concat("model.layers.", block.layer.index, "."));
  test.forward = [&](const auto& x) {
    saved = {};
    MtpBlock::Output out = block.forward(random.ctx, x[0], x[1], pass, saved);
    load = std::get<Moe::Saved>(saved.layer.ffn).load;
    return std::move(out.normed);
  };
  test.backward = [&](Tensor dy) {
    MtpBlock::InputGradient gradient =
        block.backward_input(random.ctx, std::move(dy), {}, pass, saved);
    block.backward_weight(random.ctx, std::move(saved));
    std::vector<Tensor> dx;
    dx.push_back(std::move(gradient.embedded));
    dx.push_back(std::move(gradient.state));
    return dx;
  };
  test.choice = [&] { return load; };
  expect_backward_matches_differences(random.ctx, test, 9, "mtp block");
}

// B and W at once gives the bits of B, then W, and uses less memory.
TEST(Layers, BackwardAtOnceEqualsTheSeparateSteps) {
  RandomModel split(odd_config()), fused(odd_config());
  const Sequences sequences = two_sequences();
  const auto run = [&](RandomModel& random, bool at_once) {
    DecoderLayer& layer = random.model.layers[1];
    allocate_gradients(random.model, random.arena);
    const Pass pass{sequences, random.model.rope, {0.1F, 1.0F, BalanceCount::kUnbiasedTopK, true}};
    DecoderLayer::Saved saved;
    layer.forward(random.ctx, random.random_rows(kTokens, 40, 10), pass, saved);
    Tensor dy = random.random_rows(kTokens, 40, 11);
    if (at_once) return layer.backward(random.ctx, std::move(dy), pass, std::move(saved));
    Tensor dx = layer.backward_input(random.ctx, std::move(dy), pass, saved);
    layer.backward_weight(random.ctx, std::move(saved));
    return dx;
  };
  const Tensor want = run(split, false), got = run(fused, true);
  expect_close(got, want, Tolerance::exact(), "dx");
  const auto grads = params_under(fused.model, "model.layers.1.");
  const auto wanted = params_under(split.model, "model.layers.1.");
  for (size_t i = 0; i < grads.size(); ++i) {
    expect_close(grads[i]->grad, wanted[i]->grad, Tolerance::exact(), concat("gradient ", i));
  }
}

TEST(Layers, LinearReadsTilesOnlyWhereTheWeightIsFp8) {
  RandomModel random(odd_config());
  Linear layer;
  layer.weight.master = random.random_rows(5, 40, 12);
  const Tensor x = random.random_rows(3, 40, 13);
  const Tensor plain = layer.forward(random.ctx, x);
  random.ctx.fp8_activations = Fp8Activations::kTiles;
  expect_close(layer.forward(random.ctx, x), plain, Tolerance::exact(), "not an FP8 weight");
  layer.weight.fp8 = true;
  const Tensor tiles = layer.forward(random.ctx, x);
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < 15; ++i) {
    const double d = double{tiles.flat<float>()[i]} - double{plain.flat<float>()[i]};
    difference += d * d;
    norm += double{plain.flat<float>()[i]} * double{plain.flat<float>()[i]};
  }
  // E4M3 keeps 3 bits after the point: each factor moves by at most 1/16 of itself.
  EXPECT_GT(difference, 0.0);
  EXPECT_LT(difference, norm / 64.0);
}

}  // namespace
}  // namespace hadal::test
