#include "hadal/measure/measure_tokenizer.h"

#include "hadal/core/error.h"

namespace hadal {

MeasureReport measure_tokenizer(Context& ctx, const Tokenizer& tokenizer, std::string_view text,
                                int64_t rounds) {
  require(rounds >= 1,
          {.field = "rounds", .problem = "out of range", .found = rounds, .expected = "1 or more"});
  require(
      !text.empty(),
      {.field = "text", .problem = "nothing to encode", .found = "0 bytes", .expected = "a text"});
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::vector<int32_t> ids;
  std::string back;
  const auto one = time_rounds(rounds, [&] { ids = tokenizer.encode(text); });
  const auto all = time_rounds(rounds, [&] { ids = tokenizer.encode_parallel(text, ctx.pool); });
  const auto decode = time_rounds(rounds, [&] { back = tokenizer.decode(ids); });
  MeasureReport report;
  report.results = {
      {"encode, 1 thread", megabytes / one.front(), "MB/s"},
      {concat("encode, ", ctx.pool.n_threads(), " threads"), megabytes / all.front(), "MB/s"},
      {"decode", static_cast<double>(back.size()) / 1e6 / decode.front(), "MB/s"}};
  report.details["bytes"] = static_cast<int64_t>(text.size());
  report.details["tokens"] = static_cast<int64_t>(ids.size());
  report.details["bytes_per_token"] =
      static_cast<double>(text.size()) / static_cast<double>(std::max<size_t>(1, ids.size()));
  report.details["threads"] = ctx.pool.n_threads();
  return report;
}

}  // namespace hadal
