#include "hadal/measure/measure_load.h"

#include "hadal/core/error.h"
#include "hadal/io/safetensors.h"
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

}  // namespace

MeasureReport measure_load(Context& ctx, const std::string& folder, LoadAs dtype, int64_t rounds) {
  require(rounds >= 1,
          {.field = "rounds", .problem = "out of range", .found = rounds, .expected = "1 or more"});
  const double bytes = checkpoint_bytes(folder);
  const std::vector<double> seconds =
      time_rounds(rounds, [&] { load_model(ctx, folder, {.dtype = dtype, .with_mtp = true}); });
  MeasureReport report;
  report.details["bytes"] = bytes;
  report.details["threads"] = ctx.pool.n_threads();
  report.details["peak_rss_mb"] = peak_rss_mib();
  const double roof = dram_read_gb_per_s(ctx.pool);
  report.results = {{"load", seconds.front(), "s"},
                    {"load rate", bytes / seconds.front() / 1e9, "GB/s", roof}};
  return report;
}

}  // namespace hadal
