#include "hadal/measure/measure_gemm.h"

#include <charconv>

#include "hadal/core/error.h"
#include "hadal/measure/random_operand.h"
#include "hadal/measure/roofline.h"
#include "hadal/ops/gemm.h"
#include "hadal/ops/grouped_gemm.h"

namespace hadal {
namespace {

// Training micro-batches, then few tokens, then experts that get 1 to 64 tokens each.
const char* const kDefaultShapes[] = {
    "1024x1024x512", "512x512x128",   "256x1024x256",   "64x512x512",     "16x2048x512",
    "4x2048x512",    "1x2048x512",    "16x16x512x256",  "64x1x512x512",   "64x4x512x512",
    "64x16x512x512", "64x64x512x512", "64x1x1024x1024", "64x4x1024x1024", "64x16x1024x1024"};

double seconds_of(Context& ctx, const GemmShape& s, int64_t rounds) {
  const int64_t experts = std::max<int64_t>(1, s.experts);
  const Tensor x = random_operand(ctx, {experts * s.m, s.k}, 1);
  const Tensor w = random_operand(ctx, {experts * s.n, s.k}, 2);
  Tensor y = ctx.empty({experts * s.m, s.n});
  std::vector<WeightView> weights;
  std::vector<int64_t> offsets = {0};
  for (int64_t e = 0; e < experts; ++e) {
    weights.push_back(WeightView(w.mat()).row_range(e * s.n, (e + 1) * s.n));
    offsets.push_back((e + 1) * s.m);
  }
  const double flops = 2.0 * static_cast<double>(experts * s.m * s.n) * static_cast<double>(s.k);
  // Small products are repeated within a round until the clock can see them.
  const int64_t repeats = std::clamp<int64_t>(static_cast<int64_t>(2e8 / flops), 1, 1000);
  const std::vector<double> seconds = time_rounds(rounds, [&] {
    for (int64_t i = 0; i < repeats; ++i) {
      if (s.experts > 0) {
        grouped_gemm_nt(ctx, y.mat(), x.mat(), weights, offsets);
      } else {
        gemm_nt(ctx, y.mat(), x.mat(), weights.front());
      }
    }
  });
  return seconds.front() / static_cast<double>(repeats);
}

}  // namespace

GemmShape GemmShape::parse(const std::string& text) {
  std::vector<int64_t> numbers;
  for (const char* at = text.data(); at <= text.data() + text.size();) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(at, text.data() + text.size(), number);
    if (error != std::errc() || number < 1 || number > (1 << 20)) break;
    numbers.push_back(number);
    if (end == text.data() + text.size()) {
      if (numbers.size() == 3) return {0, numbers[0], numbers[1], numbers[2]};
      if (numbers.size() == 4) return {numbers[0], numbers[1], numbers[2], numbers[3]};
      break;
    }
    if (*end != 'x') break;
    at = end + 1;
  }
  throw ConfigError({.field = "shape",
                     .problem = "not a shape",
                     .found = {"'", text, "'"},
                     .expected = "MxNxK or EXPERTSxMxNxK, each 1 to 1048576",
                     .advice = "for example 64x512x512"});
}

std::string GemmShape::text() const {
  return experts > 0 ? concat(experts, "x", m, "x", n, "x", k) : concat(m, "x", n, "x", k);
}

MeasureReport measure_gemm(Context& ctx, const MeasureGemmOptions& options) {
  std::vector<GemmShape> shapes = options.shapes;
  if (shapes.empty()) {
    for (const char* text : kDefaultShapes) shapes.push_back(GemmShape::parse(text));
  }
  double roof = fma_gflop_per_s(ctx.pool);
  MeasureReport report;
  for (const GemmShape& s : shapes) {
    const double experts = static_cast<double>(std::max<int64_t>(1, s.experts));
    const double flops = 2.0 * experts * static_cast<double>(s.m * s.n) * static_cast<double>(s.k);
    const std::string name = (s.experts > 0 ? "grouped " : "dense ") + s.text();
    report.results.push_back({name, flops / seconds_of(ctx, s, options.rounds) / 1e9, "GFLOP/s"});
  }
  roof = std::max(roof, fma_gflop_per_s(ctx.pool));
  for (Measurement& m : report.results) m.roof = roof;
  report.details["threads"] = ctx.pool.n_threads();
  return report;
}

}  // namespace hadal
