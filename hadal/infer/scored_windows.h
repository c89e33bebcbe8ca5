// infer/scored_windows.h: the windows in which a text is scored, and the logits of their rows. One model
// may walk a text alone, or several side by side.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "hadal/infer/latent_pages.h"
#include "hadal/infer/score.h"

namespace hadal {

// A few rows of a window: what a model reads at once.
struct ScoredPiece {
  int64_t window = 0;                    // the index of its window; their first pieces begin afresh
  int64_t window_tokens = 0;             // that the window reads
  std::span<const int32_t> tokens = {};  // read
  int64_t n_context = 0;                 // rows in front that an earlier window has scored
  std::span<const int32_t> targets = {};  // of the rows behind those
  double done = 0.0;                      // of the text, with this piece
};

// Calls `body` for every piece of a text, in order. ConfigError for a window, a stride or a token that
// `config` does not allow.
void for_each_scored(const ModelConfig& config, std::span<const int32_t> tokens,
                     const ScoreOptions& options,
                     const std::function<void(const ScoredPiece& piece)>& body);

// One model on its way through the pieces of a text.
class ScoredLogits {
 public:
  // REQUIRES model.ensure_rope for a window (or the text, if shorter).
  ScoredLogits(Context& ctx, const DeepseekV3& model, const ScoreOptions& options, int64_t n_tokens,
               PassTurns& turns = local_turns());
  // [targets, V]; of no rows where all is context.
  Tensor of(const ScoredPiece& piece);

 private:
  Context& ctx_;
  const DeepseekV3& model_;
  PassTurns& turns_;
  LatentPages pages_;
  std::optional<LatentSequence> sequence_;
  int64_t window_ = -1;
};

}  // namespace hadal
