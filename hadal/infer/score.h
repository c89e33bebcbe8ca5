// infer/score.h: the log-probability of every token of a text.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "hadal/infer/latent_pages.h"
#include "hadal/infer/pass_turns.h"
#include "hadal/model/deepseek_v3.h"

namespace hadal {

struct ScoreOptions {
  // A text longer than `window` is read in windows of that many tokens, each `stride` further. The
  // first window scores all its tokens, a later one its last `stride` (those the window before has
  // not seen), so all but the first `window` tokens have at least window - stride tokens of
  // context.
  int64_t window = 0;  // 0: the model's positions
  int64_t stride = 0;  // 0: half the window
  // F32 scores the model as it is; another form what decoding behind such a cache sees.
  LatentForm cache = LatentForm::kF32;
  std::function<void(double fraction)> on_progress = {};
};

// log p(tokens[i] | tokens before it in its window), natural logarithm, i = 1 .. n-1: n - 1 values.
// The first token is context alone: a text is given behind its BOS. REQUIRES model.ensure_rope for a
// window (or the text, if shorter).
std::vector<double> score_tokens(Context& ctx, const DeepseekV3& model,
                                 const std::vector<int32_t>& tokens,
                                 const ScoreOptions& options = {},
                                 PassTurns& turns = local_turns());

}  // namespace hadal
