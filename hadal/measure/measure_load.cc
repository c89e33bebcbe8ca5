#include "hadal/measure/measure_load.h"

#include <limits>

#include "hadal/core/error.h"
#include "hadal/infer/session.h"
#include "hadal/io/safetensors.h"
#include "hadal/measure/random_operand.h"
#include "hadal/measure/roofline.h"

namespace hadal {
namespace {

double checkpoint_bytes(const std::string& folder) {
  double bytes = 0;
  const TensorSource source = TensorSource::open(folder);
  for (const auto& [name, entry] : source.entries()) {
    bytes += static_cast<double>(entry.info->end - entry.info->begin);
  }
  return bytes;
}

void write_first_token(Context& ctx, DeepseekV3& model, const LoadMeasureOptions& o) {
  const int64_t prompt_tokens = std::min(o.prompt_tokens, model.config.max_position_embeddings - 1);
  model.ensure_rope(ctx.arena, prompt_tokens + 1);
  GenerateOptions options;
  options.max_tokens = 1;
  generate(ctx, model, random_tokens(prompt_tokens, model.config.vocab_size, 1), options, nullptr,
           nullptr, {.form = o.cache});
}

}  // namespace

MeasureReport measure_load(Context& ctx, const std::string& folder, const LoadMeasureOptions& o) {
  require(
      o.rounds >= 1,
      {.field = "rounds", .problem = "out of range", .found = o.rounds, .expected = "1 or more"});
  require(o.prompt_tokens >= 1, {.field = "prompt_tokens",
                                 .problem = "out of range",
                                 .found = o.prompt_tokens,
                                 .expected = "1 or more"});
  const double bytes = checkpoint_bytes(folder);
  double load_seconds = std::numeric_limits<double>::infinity();
  double cache_bytes = 0;
  const std::vector<double> seconds = time_rounds(o.rounds, [&] {
    const double begin = monotonic_seconds();
    DeepseekV3 model = load_model(ctx, folder, {.dtype = o.dtype, .with_mtp = true});
    load_seconds = std::min(load_seconds, monotonic_seconds() - begin);
    write_first_token(ctx, model, o);
    cache_bytes = static_cast<double>(o.prompt_tokens *
                                      LatentPages::bytes_per_token(model.config, 0, o.cache));
  });
  const double peak_mib = peak_rss_mib();  // before the roof: it needs 256 MiB
  MeasureReport report;
  report.details["bytes"] = bytes;
  report.details["cache_bytes"] = cache_bytes;
  report.details["prompt_tokens"] = o.prompt_tokens;
  report.details["threads"] = ctx.pool.n_threads();
  const double roof = dram_read_gb_per_s(ctx.pool);
  report.results = {
      {"load", load_seconds, "s"},
      {"load rate", bytes / load_seconds / 1e9, "GB/s", roof},
      {"first token", seconds.front(), "s"},
      {"peak memory", peak_mib, "MiB", (bytes + cache_bytes) / (1 << 20) + kLoadAllowanceMib}};
  return report;
}

}  // namespace hadal
