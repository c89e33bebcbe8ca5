#include "hadal/infer/score.h"

#include <algorithm>

#include "hadal/infer/cached_forward.h"
#include "hadal/model/head.h"
#include "hadal/ops/cross_entropy.h"

namespace hadal {
namespace {

// Rows whose logits are formed together: at most 64 MB of them.
int64_t chunk_rows(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{16} << 20) / vocab_size, 16, 512);
}

// log p(inputs[i + 1]) for i >= first, of one window.
void score_window(Context& ctx, const DeepseekV3& model, LatentPages& pages,
                  std::span<const int32_t> window, int64_t first, std::vector<double>& logprobs) {
  const int64_t n = static_cast<int64_t>(window.size()) - 1;  // the last token is only predicted
  LatentSequence sequence(pages);
  sequence.reserve(n);
  const int64_t step = chunk_rows(model.config.vocab_size);
  for (int64_t begin = 0; begin < n; begin += step) {
    const int64_t end = std::min(n, begin + step);
    const auto tokens =
        window.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    PrefillAttention attention(model.rope, sequence);
    const HiddenRows out = cached_forward(ctx, model, tokens, attention);
    const int64_t from = std::max(begin, first);
    if (from >= end) continue;  // context only
    const Tensor logits = head_logits(ctx, model, out.normed.mat().rows(from - begin, end - begin));
    Tensor loss = ctx.empty({end - from});
    cross_entropy_forward(
        ctx, loss.vec(), logits.mat(),
        window.subspan(static_cast<size_t>(from + 1), static_cast<size_t>(end - from)));
    for (const float value : loss.flat<float>()) logprobs.push_back(-double{value});
  }
}

}  // namespace

std::vector<double> score_tokens(Context& ctx, const DeepseekV3& model,
                                 const std::vector<int32_t>& tokens, const ScoreOptions& options) {
  const int64_t most = model.config.max_position_embeddings;
  const int64_t window = options.window != 0 ? options.window : most;
  require(window >= 2 && window <= most, {.field = "window",
                                          .problem = "out of range",
                                          .found = window,
                                          .expected = {"2 to ", most, ", or 0 for all positions"},
                                          .advice = "the model has no more positions"});
  const int64_t stride = options.stride != 0 ? options.stride : std::max<int64_t>(1, window / 2);
  require(stride >= 1 && stride < window,
          {.field = "stride",
           .problem = "out of range",
           .found = stride,
           .expected = {"1 to ", window - 1},
           .advice = "windows must overlap, so that every token has context"});
  for (const int32_t id : tokens) {
    require(id >= 0 && id < model.config.vocab_size,
            {.field = "token_ids",
             .problem = "token id out of range",
             .found = id,
             .expected = {"0 to ", model.config.vocab_size - 1},
             .advice = "use the tokenizer that belongs to this model"});
  }
  const int64_t n = static_cast<int64_t>(tokens.size());
  std::vector<double> logprobs;
  if (n < 2) return logprobs;
  expect_positions(model, std::min(window, n));
  LatentPages pages(model.config, pages_for(std::min(window, n)), 0);
  const std::span<const int32_t> all(tokens);
  for (int64_t begin = 0; static_cast<int64_t>(logprobs.size()) < n - 1; begin += stride) {
    const int64_t end = std::min(n, begin + window);
    const int64_t first = static_cast<int64_t>(logprobs.size()) - begin;
    score_window(ctx, model, pages,
                 all.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), first,
                 logprobs);
    if (options.on_progress) {
      options.on_progress(static_cast<double>(logprobs.size()) / static_cast<double>(n - 1));
    }
  }
  return logprobs;
}

}  // namespace hadal
