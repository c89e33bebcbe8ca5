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

void write_first_token(Context& ctx, DeepseekV3& model) {
  const int64_t prompt_tokens = std::min<int64_t>(16, model.config.max_position_embeddings - 1);
  model.ensure_rope(ctx.arena, prompt_tokens + 1);
  GenerateOptions options;
  options.max_tokens = 1;
  generate(ctx, model, random_tokens(prompt_tokens, model.config.vocab_size, 1), options);
}

}  // namespace

MeasureReport measure_load(Context& ctx, const std::string& folder, LoadAs dtype, int64_t rounds) {
  require(rounds >= 1,
          {.field = "rounds", .problem = "out of range", .found = rounds, .expected = "1 or more"});
  const double bytes = checkpoint_bytes(folder);
  double load_seconds = std::numeric_limits<double>::infinity();
  const std::vector<double> seconds = time_rounds(rounds, [&] {
    const double begin = monotonic_seconds();
    DeepseekV3 model = load_model(ctx, folder, {.dtype = dtype, .with_mtp = true});
    load_seconds = std::min(load_seconds, monotonic_seconds() - begin);
    write_first_token(ctx, model);
  });
  const double peak_mib = peak_rss_mib();  // before the roof: it needs 256 MiB
  MeasureReport report;
  report.details["bytes"] = bytes;
  report.details["threads"] = ctx.pool.n_threads();
  report.details["peak_rss_mb"] = peak_mib;
  report.details["peak_above_weights_mb"] = peak_mib - bytes / (1 << 20);
  const double roof = dram_read_gb_per_s(ctx.pool);
  report.results = {{"load", load_seconds, "s"},
                    {"load rate", bytes / load_seconds / 1e9, "GB/s", roof},
                    {"first token", seconds.front(), "s"}};
  return report;
}

}  // namespace hadal
