#include "hadal/infer/scored_windows.h"

#include <algorithm>

#include "hadal/infer/cached_forward.h"
#include "hadal/model/head.h"

namespace hadal {
namespace {

// Rows whose logits are formed together: at most 64 MB of them.
int64_t chunk_rows(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{16} << 20) / vocab_size, 16, 512);
}

int64_t window_of(const ModelConfig& config, const ScoreOptions& options) {
  const int64_t most = config.max_position_embeddings;
  const int64_t window = options.window != 0 ? options.window : most;
  require(window >= 2 && window <= most, {.field = "window",
                                          .problem = "out of range",
                                          .found = window,
                                          .expected = {"2 to ", most, ", or 0 for all positions"},
                                          .advice = "the model has no more positions"});
  return window;
}

int64_t stride_of(const ScoreOptions& options, int64_t window) {
  const int64_t stride = options.stride != 0 ? options.stride : std::max<int64_t>(1, window / 2);
  require(stride >= 1 && stride < window,
          {.field = "stride",
           .problem = "out of range",
           .found = stride,
           .expected = {"1 to ", window - 1},
           .advice = "windows must overlap, so that every token has context"});
  return stride;
}

void check_ids(const ModelConfig& config, std::span<const int32_t> tokens) {
  for (const int32_t id : tokens) {
    require(id >= 0 && id < config.vocab_size,
            {.field = "token_ids",
             .problem = "token id out of range",
             .found = id,
             .expected = {"0 to ", config.vocab_size - 1},
             .advice = "use the tokenizer that belongs to this model"});
  }
}

std::span<const int32_t> part(std::span<const int32_t> tokens, int64_t begin, int64_t end) {
  return tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

}  // namespace

void for_each_scored(const ModelConfig& config, std::span<const int32_t> tokens,
                     const ScoreOptions& options,
                     const std::function<void(const ScoredPiece& piece)>& body) {
  const int64_t window = window_of(config, options), stride = stride_of(options, window);
  check_ids(config, tokens);
  const int64_t n = std::ssize(tokens), step = chunk_rows(config.vocab_size);
  int64_t scored = 1;  // tokens; the first has no context to be predicted from
  for (int64_t index = 0; scored < n; ++index) {
    const int64_t begin = index * stride;
    const int64_t end = std::min(n, begin + window) - 1;  // the last token is only predicted
    for (int64_t row = begin; row < end; row += step) {
      const int64_t last = std::min(end, row + step);
      const int64_t from = std::clamp(scored - 1, row, last);
      scored = std::max(scored, last + 1);
      body({.window = index,
            .window_tokens = end - begin,
            .tokens = part(tokens, row, last),
            .n_context = from - row,
            .targets = part(tokens, from + 1, last + 1),
            .done = static_cast<double>(scored) / static_cast<double>(n)});
    }
  }
}

ScoredLogits::ScoredLogits(Context& ctx, const DeepseekV3& model, const ScoreOptions& options,
                           int64_t n_tokens, PassTurns& turns)
    : ctx_(ctx),
      model_(model),
      turns_(turns),
      pages_(model.config, pages_for(std::min(window_of(model.config, options), n_tokens)), 0,
             options.cache, ctx.arena.memory()) {
  expect_positions(model, std::min(window_of(model.config, options), n_tokens));
}

Tensor ScoredLogits::of(const ScoredPiece& piece) {
  if (piece.window != window_) {
    sequence_.reset();  // its pages come back before they are asked for again
    sequence_.emplace(pages_);
    sequence_->reserve(piece.window_tokens);
    window_ = piece.window;
  }
  PrefillAttention attention(model_.rope, *sequence_);
  const HiddenRows out = cached_forward(ctx_, model_, piece.tokens, attention, turns_);
  if (piece.targets.empty()) return ctx_.empty({0, model_.config.vocab_size});
  return head_logits(ctx_, model_,
                     out.normed.mat().rows(piece.n_context, std::ssize(piece.tokens)));
}

}  // namespace hadal
