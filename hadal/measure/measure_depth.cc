#include "hadal/measure/measure_depth.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "hadal/core/error.h"
#include "hadal/infer/cached_forward.h"
#include "hadal/measure/random_operand.h"
#include "hadal/measure/roofline.h"
#include "hadal/model/head.h"

namespace hadal {
namespace {

void check(const DeepseekV3& model, const DepthOptions& o) {
  const int64_t most = model.config.max_position_embeddings - o.steps;
  require(o.depth >= 0 && o.depth <= most, {.field = "depth",
                                            .problem = "out of range",
                                            .found = o.depth,
                                            .expected = {"0 to ", most},
                                            .advice = "the model has no more positions"});
  require(o.batch >= 1 && o.batch <= 1024,
          {.field = "batch", .problem = "out of range", .found = o.batch, .expected = "1 to 1024"});
  require(
      o.rounds >= 1,
      {.field = "rounds", .problem = "out of range", .found = o.rounds, .expected = "1 or more"});
}

void fill(Context& ctx, LatentSequence& sequence, int64_t depth, uint64_t seed) {
  constexpr int64_t kPiece = 1024;
  const int64_t d = sequence.pages().layout().d_row();
  for (int64_t begin = 0; begin < depth; begin += kPiece) {
    const int64_t n = std::min(kPiece, depth - begin);
    const Tensor rows = random_operand(ctx, {n, d}, seed + static_cast<uint64_t>(begin));
    for (int64_t layer = 0; layer < sequence.pages().n_layers(); ++layer) {
      sequence.append(ctx, layer, rows.mat());
    }
  }
}

// Seconds of a step, on average over `steps`.
double seconds_per_step(Context& ctx, const DeepseekV3& model, std::span<const BatchShare> batch,
                        const DepthOptions& o) {
  std::vector<int32_t> tokens = random_tokens(o.batch, model.config.vocab_size, o.seed);
  const double begin = monotonic_seconds();
  for (int64_t step = 0; step < o.steps; ++step) {
    AbsorbedAttention attention(model.rope, {batch.begin(), batch.end()});
    const HiddenRows out = cached_forward(ctx, model, tokens, attention);
    const Tensor logits = head_logits(ctx, model, out.normed.mat()).to_host();
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::span<const float> row = std::as_const(logits).mat().row(static_cast<int64_t>(i));
      tokens[i] = static_cast<int32_t>(std::ranges::max_element(row) - row.begin());
    }
  }
  const double seconds = monotonic_seconds() - begin;
  for (const BatchShare& share : batch) share.sequence->truncate_main(o.depth);
  return seconds / static_cast<double>(o.steps);
}

}  // namespace

MeasureReport measure_decode_at_depth(Context& ctx, DeepseekV3& model, const DepthOptions& o) {
  check(model, o);
  const int64_t capacity = o.depth + o.steps;
  model.ensure_rope(ctx.arena, capacity);
  LatentPages pages(model.config, o.batch * pages_for(capacity), 0, o.cache,
                    ctx.arena.memory());
  std::vector<std::unique_ptr<LatentSequence>> sequences;
  std::vector<BatchShare> batch;
  for (int64_t i = 0; i < o.batch; ++i) {
    sequences.push_back(std::make_unique<LatentSequence>(pages));
    sequences.back()->reserve(o.depth);
    fill(ctx, *sequences.back(), o.depth, o.seed + static_cast<uint64_t>(i));
    batch.push_back({sequences.back().get(), 1});
  }
  double best = std::numeric_limits<double>::infinity();
  for (int64_t round = 0; round <= o.rounds; ++round) {  // the first warms up
    for (const auto& sequence : sequences) sequence->reserve(capacity);
    const double seconds = seconds_per_step(ctx, model, batch, o);
    if (round > 0) best = std::min(best, seconds);
  }
  const double rows = static_cast<double>(o.batch) * static_cast<double>(o.depth) *
                      static_cast<double>(LatentPages::bytes_per_token(model.config, 0, o.cache));
  const double bytes = active_weight_bytes(model) + rows;
  const double roof = dram_read_gb_per_s(ctx.pool) * 1e9 / bytes;
  const double n = static_cast<double>(o.batch);
  MeasureReport report;
  report.results = {{"decode", n / best, "tok/s", n * roof}, {"step", best * 1e3, "ms", 0}};
  report.details["depth"] = o.depth;
  report.details["batch"] = o.batch;
  report.details["cache"] = std::string(latent_form_name(o.cache));
  report.details["cache_mb"] = rows / 1e6;
  report.details["threads"] = ctx.pool.n_threads();
  report.details["peak_rss_mb"] = peak_rss_mib();
  return report;
}

}  // namespace hadal
