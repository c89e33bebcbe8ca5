// infer/compare.h: what a text says about two models of one vocabulary, such as a checkpoint and the
// same in fewer bits.
#pragma once

#include "hadal/infer/score.h"

namespace hadal {

struct Comparison {
  int64_t n_tokens = 0;                 // predicted by both
  double nats = 0.0, other_nats = 0.0;  // of all tokens together
  // KL(model || other) of the next token's distributions, nats: over all places of the text
  double mean_kl = 0.0, largest_kl = 0.0, kl_99_percent = 0.0;
  double same_choice = 0.0;  // share of places where both hold the same token for the likeliest
};

// Reads `tokens` with both, window by window. ConfigError unless they have the same vocabulary, as
// score_tokens else. REQUIRES ensure_rope of both.
Comparison compare_models(Context& ctx, const DeepseekV3& model, const DeepseekV3& other,
                          const std::vector<int32_t>& tokens, const ScoreOptions& options = {});

}  // namespace hadal
