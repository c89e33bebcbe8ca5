#include "hadal/measure/measure_train.h"

#include "hadal/core/error.h"
#include "hadal/measure/model_flops.h"
#include "hadal/measure/random_operand.h"
#include "hadal/measure/roofline.h"
#include "hadal/measure/saved_activations.h"
#include "hadal/train/config.h"
#include "hadal/train/retiling_count.h"
#include "hadal/train/train_step.h"

namespace hadal {
namespace {

Batch random_batch(const MeasureTrainOptions& o) {
  Batch batch{.n_sequences = o.batch, .length = o.seq, .tokens = {}, .targets = {}};
  const std::vector<int32_t> ids = random_tokens(o.batch * (o.seq + 1), o.model.vocab_size, o.seed);
  for (int64_t s = 0; s < o.batch; ++s) {
    const auto row = ids.begin() + s * (o.seq + 1);
    batch.tokens.insert(batch.tokens.end(), row, row + o.seq);
    batch.targets.insert(batch.targets.end(), row + 1, row + o.seq + 1);
  }
  return batch;
}

int64_t count_bytes_of_masters(const ParameterCount& count) {
  return (count.total + count.mtp) * static_cast<int64_t>(sizeof(float));
}

Json bytes_json(const SavedBytes& bytes) {
  Json result = Json::object();
  for (const auto& [what, n] : bytes) result[what] = n;
  return result;
}

void add_saved(Json& details, const SavedActivations& saved) {
  details["saved_bytes_per_token"] = saved.total();
  details["saved_bytes_by_what"] = bytes_json(saved.by_what());
  Json::Array layers;
  for (const SavedBytes& layer : saved.layers) layers.push_back(bytes_json(layer));
  details["saved_bytes_by_layer"] = Json(std::move(layers));
}

void check(const MeasureTrainOptions& o) {
  require(o.batch >= 1 && o.batch <= (1 << 20), {.field = "batch",
                                                 .problem = "out of range",
                                                 .found = o.batch,
                                                 .expected = "1 to 1048576",
                                                 .advice = "it counts sequences"});
  require(o.seq >= 2 && o.seq <= o.model.max_position_embeddings,
          {.field = "seq",
           .problem = "out of range",
           .found = o.seq,
           .expected = {"2 to ", o.model.max_position_embeddings}});
  require(o.steps >= 2, {.field = "steps",
                         .problem = "too few",
                         .found = o.steps,
                         .expected = "2 or more",
                         .advice = "the first step only warms up"});
  require(o.norms == "inputs" || o.weight_gradient == "retiled",
          {.field = "norms",
           .problem = "columns are quantised from rows that were not rounded",
           .found = "outputs beside columns",
           .advice = "leave one of the two out"});
  require(o.micro_batch >= 0, {.field = "micro_batch",
                               .problem = "out of range",
                               .found = o.micro_batch,
                               .expected = "0 or more",
                               .advice = "0 chooses"});
}

}  // namespace

ModelConfig training_peer_shape() {
  ModelConfig c;
  c.d_model = 256;
  c.n_layers = 6;
  c.vocab_size = 4096;
  c.max_position_embeddings = 16384;
  c.n_heads = 4;
  c.q_lora_rank = 128;
  c.kv_lora_rank = 64;
  c.qk_nope_head_dim = 32;
  c.qk_rope_head_dim = 16;
  c.v_head_dim = 32;
  c.yarn.reset();
  c.d_ff = 768;
  c.d_expert = 128;
  c.n_shared_experts = 1;
  c.first_k_dense_replace = 1;
  c.router.n_routed_experts = 16;
  c.router.top_k = 4;
  c.router.n_group = 1;
  c.router.topk_group = 1;
  c.n_mtp = 0;
  return c;
}

MeasureReport measure_train(Context& ctx, const MeasureTrainOptions& o) {
  check(o);
  double roof = fma_gflop_per_s(ctx.pool);
  const ParameterCount count = count_parameters(o.model);
  DeepseekV3 model = make_model(o.model, ctx.arena);
  initialise_weights(model, ctx.arena, o.seed, 0.02F);
  const int64_t without_state = ctx.arena.bytes_in_use() - count_bytes_of_masters(count);
  TrainState state(ctx.arena, std::move(model), AdamwConfig{}, /*with_ema=*/false, o.seq);
  TrainConfig::Precision precision;
  precision.compute = o.precision;
  precision.weight_gradient = o.weight_gradient;
  precision.norms = o.norms;
  const RecomputePolicy recompute = recompute_policy(o.recompute, model_precision(precision));
  set_precision(state.model, model_precision(precision));
  remake_working_weights(ctx, state.model);
  const double state_bytes = static_cast<double>(ctx.arena.bytes_in_use() - without_state) /
                             static_cast<double>(count.total + count.mtp);
  const SavedActivations saved = saved_activations(ctx, state.model, o.seq, o.seed, recompute);
  const Batch batch = random_batch(o);
  const int64_t chosen = chosen_micro_batch(o.seq, ctx.pool.n_threads());
  StepPlan plan;
  plan.learning_rate = 1e-3;
  plan.recompute = recompute;
  plan.micro_batch_sequences = std::min(o.batch, o.micro_batch > 0 ? o.micro_batch : chosen);

  std::vector<double> losses;
  const std::vector<double> seconds = time_rounds(
      o.steps - 1, [&] { losses.push_back(train_step(ctx, state, batch, plan).total_loss); });
  const double rss = peak_rss_mib();
  ctx.pool.start_trace();
  train_step(ctx, state, batch, plan);
  const PoolTrace trace = ctx.pool.stop_trace();
  roof = std::max(roof, fma_gflop_per_s(ctx.pool));
  RetilingCount retiling;
  Context watched = ctx;
  watched.probe = &retiling;
  train_step(watched, state, batch, plan);

  const double tokens = static_cast<double>(o.batch * o.seq);
  const double gflop_per_token = training_flops_per_token(o.model, o.seq) / 1e9;
  const double best = tokens / seconds.front(), median = tokens / seconds[seconds.size() / 2];
  MeasureReport report;
  report.results = {{"train best", best, "tok/s", roof / gflop_per_token},
                    {"train median", median, "tok/s", roof / gflop_per_token},
                    {"train arithmetic", best * gflop_per_token, "GFLOP/s", roof},
                    {"train peak memory", rss, "MiB"},
                    {"saved activations", saved.total(), "bytes/token"},
                    {"weights and optimizer", state_bytes, "bytes/parameter"}};
  Json& d = report.details;
  d["tok_s_best"] = best;
  d["tok_s_median"] = median;
  d["gflop_s"] = best * gflop_per_token;
  d["peak_rss_mb"] = rss;
  d["threads"] = ctx.pool.n_threads();
  // What `hadal plan machine` needs to carry the figures over to another shape.
  d["preset"] = o.preset;
  d["precision"] = o.precision;
  d["weight_gradient"] = o.weight_gradient;
  d["norms"] = o.norms;
  d["recompute"] = recompute.norm_outputs ? "selective" : "none";
  add_saved(d, saved);
  d["state_bytes_per_parameter"] = state_bytes;
  d["retiled_values"] = retiling.values;
  d["retiled_values_changed"] = retiling.changed;
  d["batch"] = o.batch;
  d["seq"] = o.seq;
  d["roof_gflop_s"] = roof;
  d["memory_gb_s"] = dram_read_gb_per_s(ctx.pool);
  d["parameters"] = count.total + count.mtp;
  d["active"] = count.active_without_embedding;
  d["mflop_per_token"] = gflop_per_token * 1e3;
  add_trace(d, trace, 1, "step");
  d["loss"] = Json(Json::Array{losses.front(), losses.back()});
  return report;
}

}  // namespace hadal
