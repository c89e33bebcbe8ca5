#include "hadal/measure/measure_infer.h"

#include <utility>

#include "hadal/core/error.h"
#include "hadal/infer/session.h"
#include "hadal/measure/measure_engine.h"
#include "hadal/measure/model_flops.h"
#include "hadal/measure/random_operand.h"
#include "hadal/measure/roofline.h"
#include "hadal/measure/step_bytes.h"

namespace hadal {
namespace {

void check(const DeepseekV3& model, const MeasureInferOptions& o) {
  require(o.prompt_tokens >= 1, {.field = "prompt_tokens",
                                 .problem = "out of range",
                                 .found = o.prompt_tokens,
                                 .expected = "1 or more"});
  require(o.decode_tokens >= 2, {.field = "decode_tokens",
                                 .problem = "out of range",
                                 .found = o.decode_tokens,
                                 .expected = "2 or more"});
  require(
      o.rounds >= 1,
      {.field = "rounds", .problem = "out of range", .found = o.rounds, .expected = "1 or more"});
  require(o.batch >= 1,
          {.field = "batch", .problem = "out of range", .found = o.batch, .expected = "1 or more"});
  require(o.draft_tokens >= 0 && o.draft_tokens <= kMaxDraftTokens &&
              (o.draft_tokens == 0 || model.config.n_mtp > 0),
          {.field = "draft_tokens",
           .problem = "this model cannot draft so many tokens",
           .found = o.draft_tokens,
           .expected = {"0 to ", model.config.n_mtp > 0 ? kMaxDraftTokens : 0}});
}

// The fastest of the rounds; every round starts with an empty cache.
GenerateResult best_round(Context& ctx, DeepseekV3& model, const MeasureInferOptions& o,
                          int64_t max_tokens, double GenerateResult::*seconds) {
  const std::vector<int32_t> prompt =
      random_tokens(o.prompt_tokens, model.config.vocab_size, o.seed);
  model.ensure_rope(ctx.arena,
                    std::min(o.prompt_tokens + max_tokens, model.config.max_position_embeddings));
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.draft_tokens = o.draft_tokens;
  options.draft_from = DraftFrom::kMtp;
  GenerateResult best = generate(ctx, model, prompt, options, nullptr, nullptr, {.form = o.cache});
  for (int64_t round = 0; round < o.rounds; ++round) {
    GenerateResult result =
        generate(ctx, model, prompt, options, nullptr, nullptr, {.form = o.cache});
    if (result.*seconds < best.*seconds) best = std::move(result);
  }
  return best;
}

// The gain of speculation, measured and predicted. Rounds with and without drafts take turns, since
// the machine's speed drifts.
void add_speculation(MeasureReport& report, Context& ctx, DeepseekV3& model,
                     const MeasureInferOptions& o) {
  MeasureInferOptions plain = o;
  plain.draft_tokens = 0;
  plain.rounds = 1;
  MeasureInferOptions drafted = o;
  drafted.rounds = 1;
  ExpertOverlap overlap;
  Context heard = ctx;
  heard.probe = &overlap;
  const GenerateResult counted =
      best_round(heard, model, drafted, o.decode_tokens, &GenerateResult::decode_seconds);
  double with = 0, without = 0;
  const auto speed = [&](const MeasureInferOptions& options) {
    return best_round(ctx, model, options, o.decode_tokens, &GenerateResult::decode_seconds)
        .decode_tokens_per_s();
  };
  for (int64_t round = 0; round < o.rounds; ++round) {
    without = std::max(without, speed(plain));
    with = std::max(with, speed(drafted));
  }
  const double past = static_cast<double>(o.prompt_tokens + o.decode_tokens / 2);
  const double predicted =
      predicted_speedup(step_bytes(model.config, bytes_per_value(model), o.cache), o.draft_tokens,
                        counted.accepted_tokens_per_step(), overlap.share(), past);
  report.details["expert_overlap"] = overlap.share();
  report.details["acceptance_rate"] = counted.acceptance_rate();
  report.results.push_back({"speculation gain", with / without, "x", predicted});
}

// Of the decoding alone: from the first token, which the prompt gave, to the last.
PoolTrace trace_of_decode(Context& ctx, const DeepseekV3& model, const MeasureInferOptions& o) {
  GenerateOptions options;
  options.max_tokens = o.decode_tokens;
  options.draft_tokens = o.draft_tokens;
  options.draft_from = DraftFrom::kMtp;
  bool started = false;
  generate(ctx, model, random_tokens(o.prompt_tokens, model.config.vocab_size, o.seed), options,
           [&](int32_t) {
             if (!std::exchange(started, true)) ctx.pool.start_trace();
             return true;
           },
           nullptr, {.form = o.cache});
  return ctx.pool.stop_trace();
}

void add_model(Json& details, Context& ctx, const DeepseekV3& model) {
  const ParameterCount count = count_parameters(model.config);
  details["threads"] = ctx.pool.n_threads();
  details["parameters"] = count.total + count.mtp;
  details["active"] = count.active_without_embedding;
  details["peak_rss_mb"] = peak_rss_mib();
}

}  // namespace

double bytes_per_value(const DeepseekV3& model) {
  const WeightView typical = model.layers.front().attn.w_o.weight.weight();
  return static_cast<double>(bits_per_value(typical.form)) / 8;
}

double active_weight_bytes(const DeepseekV3& model) {
  return bytes_per_value(model) *
         static_cast<double>(count_parameters(model.config).active_without_embedding);
}

MeasureReport measure_prefill(Context& ctx, DeepseekV3& model, const MeasureInferOptions& o) {
  check(model, o);
  double peak = fma_gflop_per_s(ctx.pool);
  const GenerateResult best = best_round(ctx, model, o, 1, &GenerateResult::prefill_seconds);
  peak = std::max(peak, fma_gflop_per_s(ctx.pool));
  const double head = 2.0 * static_cast<double>(model.config.vocab_size * model.config.d_model);
  const double gflop_per_token =
      (forward_flops_per_token(model.config, o.prompt_tokens) - head) / 1e9;
  const double speed = best.prefill_tokens_per_s();
  MeasureReport report;
  report.results = {{"prefill", speed, "tok/s", peak / gflop_per_token},
                    {"prefill arithmetic", speed * gflop_per_token, "GFLOP/s", peak}};
  report.details["prompt_tokens"] = o.prompt_tokens;
  add_model(report.details, ctx, model);
  return report;
}

MeasureReport measure_decode(Context& ctx, DeepseekV3& model, const MeasureInferOptions& o) {
  check(model, o);
  if (o.batch > 1) return measure_decode_together(ctx, model, o);
  const GenerateResult best =
      best_round(ctx, model, o, o.decode_tokens, &GenerateResult::decode_seconds);
  const double bytes = active_weight_bytes(model);
  MeasureReport report;
  report.details["prompt_tokens"] = o.prompt_tokens;
  report.details["decode_tokens"] = best.decoded_tokens;
  report.details["accepted_tokens_per_step"] = best.accepted_tokens_per_step();
  add_model(report.details, ctx, model);
  add_trace(report.details, trace_of_decode(ctx, model, o),
            static_cast<double>(best.decoded_tokens), "token");
  const double roof = dram_read_gb_per_s(ctx.pool);  // after the memory figure: it needs 256 MiB
  const double speed = best.decode_tokens_per_s();
  report.results = {{"decode", speed, "tok/s", roof * 1e9 / bytes},
                    {"decode weights read", speed * bytes / 1e9, "GB/s", roof}};
  if (o.draft_tokens > 0) add_speculation(report, ctx, model, o);
  return report;
}

}  // namespace hadal
