// infer/logprobs.h: how probable a token was, and what else was: ln softmax of the model's logits as
// they are, before penalties, temperature and what sampling leaves out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hadal/core/json.h"

namespace hadal {

inline constexpr int64_t kMaxTopLogprobs = 20;  // OpenAI's limit

struct Logprob {
  int32_t token = 0;
  double logprob = 0.0;
};
struct TokenLogprobs : Logprob {
  std::vector<Logprob> top;  // the most probable tokens, best first; the lower id on a tie
};

// Of `token`, and the `n_top` most probable ones. Ids >= `n_usable_ids` are no tokens; 0: all are.
TokenLogprobs logprobs_of(std::span<const float> logits, int32_t token, int64_t n_top,
                          int64_t n_usable_ids);

// [{"token": 5, "logprob": -0.1, "top_logprobs": [{"token": 5, "logprob": -0.1}, ...]}, ...]
Json logprobs_json(std::span<const TokenLogprobs> tokens);

}  // namespace hadal
