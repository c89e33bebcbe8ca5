// What the phases of a decoder layer promise: two micro-batches may be anywhere in them at once,
// and what is kept between F and B changes memory, not one bit of a gradient.
#include "hadal/nn/decoder_layer.h"

#include <gtest/gtest.h>

#include "hadal/model/precision.h"
#include "tests/support/compare.h"
#include "tests/support/layer_differences.h"

namespace hadal::test {
namespace {

constexpr BalanceLoss kBalance{0.1F, 1.0F, BalanceCount::kUnbiasedTopK, true};

// A layer of a model of its own, with gradients.
struct Layer : RandomModel {
  Layer(const ModelConfig& config, size_t index, LinearPrecision precision = Precision::kF32)
      : RandomModel(config, 3), prefix(concat("model.layers.", index, ".")) {
    set_precision(model, precision);
    remake_working_weights(ctx, model);
    allocate_gradients(model, arena);
    layer = &model.layers[index];
  }
  void expect_gradients_of(Layer& other) {
    const auto got = params_under(model, prefix), want = params_under(other.model, prefix);
    for (size_t i = 0; i < want.size(); ++i) {
      expect_close(got[i]->grad, want[i]->grad, Tolerance::exact(), concat("gradient ", i));
    }
  }
  std::string prefix;
  DecoderLayer* layer;
  LocalDispatcher dispatcher;
};

// One micro-batch on its way through the layer, phase by phase.
struct Walk {
  static constexpr int kForward = 4, kBackward = 4;  // phases

  Walk(Layer& in, int64_t length, uint64_t seed, const RecomputePolicy& recompute = {})
      : owner(in), pass(Pass::over(Sequences::equal(2, length), in.model.rope, kBalance)) {
    pass.recompute = recompute;
    x = in.random_rows(2 * length, in.model.config.d_model, seed);
    dy = in.random_rows(2 * length, in.model.config.d_model, seed + 1);
  }
  void forward(int phase) {
    if (phase == 0) layer.attention(ctx, attention, std::move(x), saved);
    if (phase == 1) layer.dispatch(ctx, owner.dispatcher, pass, saved);
    if (phase == 2) layer.experts(ctx, owner.dispatcher, pass, saved);
    if (phase == 3) output = layer.combine(ctx, owner.dispatcher, saved);
  }
  void backward(int phase) {
    if (phase == 0) layer.combine_backward(ctx, owner.dispatcher, std::move(dy), saved);
    if (phase == 1) layer.experts_backward(ctx, owner.dispatcher, pass, saved);
    if (phase == 2) layer.dispatch_backward(ctx, owner.dispatcher, saved);
    if (phase == 3) dx = layer.attention_backward(ctx, pass, saved);
  }
  void weight() { layer.backward_weight(ctx, std::move(saved)); }

  void expect_same_as(const Walk& other, const std::string& what) const {
    expect_close(output.hidden, other.output.hidden, Tolerance::exact(), what + ": y");
    expect_close(dx, other.dx, Tolerance::exact(), what + ": dx");
    EXPECT_EQ(output.routing.load, other.output.routing.load) << what;
    EXPECT_EQ(output.routing.balance_loss, other.output.routing.balance_loss) << what;
  }

  Layer& owner;
  Context& ctx = owner.ctx;
  DecoderLayer& layer = *owner.layer;
  Pass pass;
  TrainingAttention attention{pass};
  DecoderLayer::Saved saved;
  Tensor x, dy, dx;
  DecoderLayer::Output output;
};

void one_after_the_other(Walk& walk) {
  for (int phase = 0; phase < Walk::kForward; ++phase) walk.forward(phase);
  for (int phase = 0; phase < Walk::kBackward; ++phase) walk.backward(phase);
}

TEST(DecoderLayerPhases, TwoMicroBatchesSideBySide) {
  for (const size_t index : {size_t{0}, size_t{1}}) {  // dense, then experts
    SCOPED_TRACE(index);
    Layer apart(odd_config(), index), together(odd_config(), index);
    Walk want_a(apart, 6, 1), want_b(apart, 9, 5);
    one_after_the_other(want_a);
    one_after_the_other(want_b);
    want_a.weight();
    want_b.weight();

    Walk a(together, 6, 1), b(together, 9, 5);
    for (int phase = 0; phase < Walk::kForward; ++phase) {
      a.forward(phase);
      b.forward(phase);
    }
    for (int phase = 0; phase < Walk::kBackward; ++phase) {
      a.backward(phase);
      b.backward(phase);
    }
    a.weight();
    b.weight();
    a.expect_same_as(want_a, "a");
    b.expect_same_as(want_b, "b");
    together.expect_gradients_of(apart);
  }
}

// As a bidirectional pipeline does: F of one beside B of the other.
TEST(DecoderLayerPhases, ForwardBesideBackward) {
  for (const size_t index : {size_t{0}, size_t{1}}) {
    SCOPED_TRACE(index);
    Layer apart(odd_config(), index), together(odd_config(), index);
    Walk want_a(apart, 6, 1), want_b(apart, 9, 5);
    for (Walk* walk : {&want_a, &want_b}) {
      one_after_the_other(*walk);
      walk->weight();
    }
    Walk a(together, 6, 1), b(together, 9, 5);
    for (int phase = 0; phase < Walk::kForward; ++phase) a.forward(phase);
    b.forward(0);  // a phase ahead, so that rows of both are on their way at once
    for (int phase = 0; phase < Walk::kBackward; ++phase) {
      a.backward(phase);
      if (phase + 1 < Walk::kForward) b.forward(phase + 1);
    }
    a.weight();
    for (int phase = 0; phase < Walk::kBackward; ++phase) b.backward(phase);
    b.weight();
    a.expect_same_as(want_a, "a");
    b.expect_same_as(want_b, "b");
    together.expect_gradients_of(apart);
  }
}

// Bytes that wait between F and B. Gradients stay in `in`.
int64_t kept_bytes(Layer& in, Walk& walk) {
  const int64_t before = in.arena.bytes_in_use();
  const int64_t input = walk.x.bytes();
  for (int phase = 0; phase < Walk::kForward; ++phase) walk.forward(phase);
  const int64_t kept = in.arena.bytes_in_use() - before + input;
  for (int phase = 0; phase < Walk::kBackward; ++phase) walk.backward(phase);
  walk.weight();
  return kept;
}

TEST(RecomputePolicy, ChangesMemoryAndNoGradient) {
  ModelConfig no_latent = odd_config();
  no_latent.q_lora_rank = 0;
  const std::pair<const char*, RecomputePolicy> policies[] = {
      {"norm outputs kept", {.norm_outputs = false}},
      {"up-projections kept", {.up_projections = false}},
      {"swiglu outputs kept", {.swiglu_outputs = false}},
      {"all kept", {false, false, false}}};
  for (const ModelConfig& config : {odd_config(), no_latent}) {
    for (const size_t index : {size_t{0}, size_t{1}}) {  // dense, then experts
      for (const Precision precision : {Precision::kF32, Precision::kFp8Input}) {
        Layer reference(config, index, precision);
        Walk want(reference, 6, 1);
        const int64_t least = kept_bytes(reference, want);
        for (const auto& [what, recompute] : policies) {
          SCOPED_TRACE(concat(what, ", q_lora_rank ", config.q_lora_rank, ", layer ", index));
          Layer other(config, index, precision);
          Walk got(other, 6, 1, recompute);
          EXPECT_GT(kept_bytes(other, got), least);
          got.expect_same_as(want, what);
          other.expect_gradients_of(reference);
        }
      }
    }
  }
}

// Norms' outputs wait as the codes that linears multiply: forward has the same bits, and so have the
// weight gradients that the same dy reaches. The rest, past a norm, is off by no more than E4M3 rounds:
// an element by 1/16, which a normed input brings into dx by its part along it alone.
TEST(KeptNorms, OutputsChangeNoForwardAndNoWeightGradientOfTheirLinears) {
  ModelConfig no_latent = odd_config();
  no_latent.q_lora_rank = 0;
  for (const ModelConfig& config : {odd_config(), no_latent}) {
    for (const size_t index : {size_t{0}, size_t{1}}) {  // dense, then experts
      SCOPED_TRACE(concat("q_lora_rank ", config.q_lora_rank, ", layer ", index));
      Layer inputs(config, index, Precision::kFp8);
      Layer outputs(config, index,
                    {Precision::kFp8, WeightGradientTiles::kRetiled, KeptNorms::kOutputs});
      Walk want(inputs, 6, 1), got(outputs, 6, 1);
      EXPECT_LT(kept_bytes(outputs, got), kept_bytes(inputs, want));
      expect_close(got.output.hidden, want.output.hidden, Tolerance::exact(), "y");
      expect_close(got.dx, want.dx, {.element = 1.0 / 16, .frobenius = 1.0 / 16, .cosine = 1e-2},
                   "dx");
      int64_t exact = 0;
      const auto all = named_params(outputs.model);
      const auto other = named_params(inputs.model);
      for (size_t i = 0; i < all.size(); ++i) {
        if (!all[i].name.starts_with(outputs.prefix) || !all[i].param->grad.has_data()) continue;
        const bool linear_of_ffn =
            all[i].name.find(".mlp.") != std::string::npos && all[i].name.ends_with("_proj.weight");
        exact += linear_of_ffn ? 1 : 0;
        expect_close(all[i].param->grad, other[i].param->grad,
                     linear_of_ffn ? Tolerance::exact()
                                   : Tolerance{.element = 0.2, .frobenius = 0.2, .cosine = 2e-2},
                     all[i].name);
      }
      EXPECT_GE(exact, 3);
    }
  }
}

}  // namespace
}  // namespace hadal::test
