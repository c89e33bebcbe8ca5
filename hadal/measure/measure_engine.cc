#include "hadal/measure/measure_engine.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/infer/engine.h"
#include "hadal/measure/random_operand.h"
#include "hadal/measure/roofline.h"
#include "hadal/measure/step_bytes.h"

namespace hadal {
namespace {

constexpr int64_t kShortPrompt = 16;

// Steps of an engine and the tokens that they gave.
struct Steps {
  std::vector<double> seconds;
  int64_t tokens = 0;

  double total() const {
    double sum = 0;
    for (const double each : seconds) sum += each;
    return sum;
  }
  double tokens_per_s() const { return static_cast<double>(tokens) / total(); }
  double quantile(double share) const {
    std::vector<double> sorted = seconds;
    std::ranges::sort(sorted);
    return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
  }
};

// Makes a step; whether it read a prompt. Only tokens of those that write from before count.
struct StepResult {
  double seconds = 0;
  int64_t tokens = 0;
  bool reads = false;
};
StepResult timed_step(Engine& engine) {
  const double started = monotonic_seconds();
  StepResult result;
  for (const EngineEvent& event : engine.step()) {
    if (event.prompt_read) {
      result.reads = true;
    } else {
      result.tokens += std::ssize(event.tokens);
    }
  }
  result.seconds = monotonic_seconds() - started;
  return result;
}

void add_writers(Engine& engine, const DeepseekV3& model, int64_t n, int64_t n_prompt,
                 int64_t max_tokens, int64_t draft_tokens, uint64_t seed) {
  for (int64_t i = 0; i < n; ++i) {
    Request request;
    request.prompt =
        random_tokens(n_prompt, model.config.vocab_size, seed + static_cast<uint64_t>(i));
    request.options.max_tokens = max_tokens;
    request.options.draft_tokens = draft_tokens;
    request.options.draft_from = DraftFrom::kMtp;
    engine.add(std::move(request));
  }
}

// As many steps as all write in.
Steps write_together(Context& ctx, const DeepseekV3& model, const MeasureInferOptions& o) {
  const int64_t context = o.prompt_tokens + o.decode_tokens;
  Engine engine(ctx, model,
                {.context = context,
                 .capacity = o.batch * (context + 2 * kPageRows),
                 .max_running = o.batch,
                 .max_waiting = o.batch,
                 .cache = {.form = o.cache},
                 .with_mtp = o.draft_tokens > 0});
  add_writers(engine, model, o.batch, o.prompt_tokens, o.decode_tokens, o.draft_tokens, o.seed);
  Steps steps;
  bool all_write = false;
  while (!engine.idle()) {
    const StepResult step = timed_step(engine);
    if (step.tokens < o.batch && all_write) break;  // the first has ended
    all_write = !step.reads && step.tokens >= o.batch;
    if (!all_write) continue;
    steps.seconds.push_back(step.seconds);
    steps.tokens += step.tokens;
  }
  return steps;
}

}  // namespace

MeasureReport measure_decode_together(Context& ctx, DeepseekV3& model,
                                      const MeasureInferOptions& o) {
  const int64_t context = o.prompt_tokens + o.decode_tokens;
  require(context <= model.config.max_position_embeddings,
          {.field = "context",
           .problem = "more tokens than the model has positions",
           .found = context,
           .expected = {"at most ", model.config.max_position_embeddings}});
  model.ensure_rope(ctx.arena, context);
  Steps best = write_together(ctx, model, o);
  for (int64_t round = 0; round < o.rounds; ++round) {
    Steps steps = write_together(ctx, model, o);
    if (steps.tokens_per_s() > best.tokens_per_s()) best = std::move(steps);
  }
  const StepBytes bytes = step_bytes(model.config, bytes_per_value(model), o.cache);
  const double n = static_cast<double>(o.batch);
  const double past = n * static_cast<double>(o.prompt_tokens + o.decode_tokens / 2);
  const double pass = bytes.pass(distinct_experts(bytes, n, 0.0), past);
  const double roof = dram_read_gb_per_s(ctx.pool) * 1e9 / pass * n;
  MeasureReport report;
  report.results = {{"decode together", best.tokens_per_s(), "tok/s", roof},
                    {"decode each", best.tokens_per_s() / n, "tok/s"},
                    {"between two tokens", best.quantile(0.5) * 1e3, "ms"}};
  report.details["batch"] = o.batch;
  report.details["prompt_tokens"] = o.prompt_tokens;
  report.details["tokens_per_step"] =
      static_cast<double>(best.tokens) / static_cast<double>(best.seconds.size());
  report.details["threads"] = ctx.pool.n_threads();
  report.details["peak_rss_mb"] = peak_rss_mib();
  return report;
}

MeasureReport measure_mixed(Context& ctx, DeepseekV3& model, const MeasureMixedOptions& o) {
  for (const auto& [field, value] :
       {std::pair{"batch", o.batch}, std::pair{"prompt_tokens", o.prompt_tokens},
        std::pair{"decode_tokens", o.decode_tokens}, std::pair{"chunk", o.chunk_beside_decoding}}) {
    require(value >= 1,
            {.field = field, .problem = "out of range", .found = value, .expected = "1 or more"});
  }
  // The writers go on until the prompt is read.
  const int64_t n_reading = o.prompt_tokens / o.chunk_beside_decoding + 2;
  const int64_t writers = kShortPrompt + o.decode_tokens + 2 * n_reading;
  const int64_t context = std::max(writers, o.prompt_tokens + 1);
  require(context <= model.config.max_position_embeddings,
          {.field = "context",
           .problem = "more tokens than the model has positions",
           .found = context,
           .expected = {"at most ", model.config.max_position_embeddings}});
  model.ensure_rope(ctx.arena, context);
  Engine engine(ctx, model,
                {.context = context,
                 .capacity = (o.batch + 1) * (context + 2 * kPageRows),
                 .max_running = o.batch + 1,
                 .chunk_beside_decoding = o.chunk_beside_decoding,
                 .cache = {.form = o.cache},
                 .with_mtp = false});
  add_writers(engine, model, o.batch, kShortPrompt, writers - kShortPrompt, 0, o.seed);
  Steps alone, reading;
  while (std::ssize(alone.seconds) < o.decode_tokens) {
    const StepResult step = timed_step(engine);
    if (step.reads) continue;
    alone.seconds.push_back(step.seconds);
    alone.tokens += step.tokens;
  }
  add_writers(engine, model, 1, o.prompt_tokens, 1, 0, o.seed + 1000);
  for (bool reads = true; reads;) {
    const StepResult step = timed_step(engine);
    reads = step.reads;
    if (!reads) break;
    reading.seconds.push_back(step.seconds);
    reading.tokens += step.tokens;
  }
  MeasureReport report;
  report.results = {
      {"decode alone", alone.tokens_per_s(), "tok/s"},
      {"decode beside reading", reading.tokens_per_s(), "tok/s"},
      {"between two tokens alone", alone.quantile(0.5) * 1e3, "ms"},
      {"between two tokens beside reading", reading.quantile(0.5) * 1e3, "ms"},
      {"the longest of 20", reading.quantile(0.95) * 1e3, "ms"},
      {"prefill beside decoding", static_cast<double>(o.prompt_tokens) / reading.total(), "tok/s"}};
  report.details["batch"] = o.batch;
  report.details["prompt_tokens"] = o.prompt_tokens;
  report.details["chunk"] = o.chunk_beside_decoding;
  report.details["threads"] = ctx.pool.n_threads();
  return report;
}

}  // namespace hadal
