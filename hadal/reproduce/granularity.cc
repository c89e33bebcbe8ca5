// reproduce/granularity.cc: many small experts and a shared one against few large ones (arXiv:2401.06066).
#include <algorithm>
#include <numeric>

#include "hadal/reproduce/expert_choices.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/training_shape.h"

namespace hadal {
namespace {

constexpr const char* kFine = "31 small + 1 shared, top 7";
constexpr const char* kCoarse = "8 large, top 2";

// Both have 1024 rows of experts a layer, 256 of them at work: the step that DeepSeekMoE takes from GShard's
// layout (arXiv:2401.06066), experts cut in four and one of them shared.
TrainConfig granularity_run(const Effort& effort, const std::string& variant) {
  TrainConfig config = half_nano(effort);
  Json& shape = config.model.overrides;
  const bool fine = variant == kFine;
  shape["n_routed_experts"] = fine ? 31 : 8;
  shape["n_shared_experts"] = fine ? 1 : 0;
  shape["num_experts_per_tok"] = fine ? 7 : 2;
  shape["moe_intermediate_size"] = fine ? 32 : 128;
  return config;
}

// The busiest eighth of every layer's experts is never chosen again.
void switch_off_busiest(Context& ctx, FinishedRun& trained) {
  ExpertCounts counts;
  for (const HeldOutBatch& each : trained.held_out) {
    add_choices(ctx, trained.model, each.batch.tokens, each.batch.length, counts);
  }
  for (size_t layer = 0; layer < trained.model.layers.size(); ++layer) {
    Moe* moe = trained.model.layers[layer].moe();
    if (!moe) continue;
    std::vector<size_t> experts(counts[layer].size());
    std::iota(experts.begin(), experts.end(), size_t{0});
    std::stable_sort(experts.begin(), experts.end(),
                     [&](size_t a, size_t b) { return counts[layer][a] > counts[layer][b]; });
    const Tensor before = moe->route_bias.master.to_host();
    std::vector<float> bias(before.flat<float>().begin(), before.flat<float>().end());
    const size_t off = (experts.size() + 7) / 8;
    for (size_t i = 0; i < off; ++i) bias[experts[i]] = -1e9F;
    moe->route_bias.master.read_from(bias.data());
  }
}

void switch_off_shared(FinishedRun& trained) {
  for (DecoderLayer& layer : trained.model.layers) {
    Moe* moe = layer.moe();
    if (!moe) continue;
    moe->shared.reset();
    ++moe->config.top_k;  // a routed one in its place
  }
}

void measure_granularity(Context& ctx, const Trial& trial, Outcome& outcome) {
  read_run(*trial.run, outcome);
  const double whole = outcome.figures.at("val_loss");
  FinishedRun without_busiest(ctx, *trial.run);
  switch_off_busiest(ctx, without_busiest);
  outcome.figures["busiest_off"] =
      evaluate(ctx, without_busiest.model, without_busiest.held_out).loss - whole;
  if (trial.variant != kFine) return;
  FinishedRun without_shared(ctx, *trial.run);
  switch_off_shared(without_shared);
  outcome.figures["shared_off"] =
      evaluate(ctx, without_shared.model, without_shared.held_out).loss - whole;
}

}  // namespace

Experiment make_granularity() {
  Experiment e;
  e.name = "granularity";
  e.claim =
      "Experts cut into smaller ones, more of them chosen and one shared by all tokens, make a "
      "better model of the same size and cost, and its experts stand in for each other less.";
  e.reported =
      "Pile loss 1.808 against 1.867 of GShard's layout, 2B parameters, 100B tokens "
      "(arXiv:2401.06066, figures unverified); DeepSeek-V3 takes the layout over";
  e.varied =
      "the experts of a layer: 31 routed of width 32, 7 chosen, and a shared one; or 8 routed of "
      "width 128, 2 chosen. 1024 rows in all, 256 at work, in both; the router is four times as "
      "large in the first, 1 % of the layer";
  e.limits =
      "Half a million parameters. The publication masks the experts that a token scores highest; "
      "here the busiest eighth of a layer's experts is switched off for all tokens";
  e.variants = {kFine, kCoarse};
  e.figures = {{"val_loss", "held-out loss, nats per token"},
               {"busiest_off", "rise of it without the busiest eighth of the experts"},
               {"shared_off", "rise of it without the shared expert, one more chosen"},
               {"max_violation", "maximum violation, last tenth of the steps"}};
  e.claims = {{.text = "small experts and a shared one give a lower loss",
               .reported = "1.808 against 1.867, unverified",
               .figure = "val_loss",
               .variant = kFine,
               .baseline = kCoarse},
              {.text = "they stand in for each other less: the loss rises more without the busiest",
               .reported = "shown as curves (figure 4 of arXiv:2401.06066)",
               .figure = "busiest_off",
               .variant = kFine,
               .baseline = kCoarse,
               .higher = true}};
  e.panels = {{"val/loss", "held-out loss, nats per token"}};
  e.default_tokens = 2'000'000;
  e.training = granularity_run;
  e.measure = measure_granularity;
  e.trains_variants = true;
  return e;
}

}  // namespace hadal
