// spread/answer_requests.h: requests that are there from the start, answered by ranks that share a model.
#pragma once

#include "hadal/infer/session.h"
#include "hadal/spread/launched_model.h"
#include "hadal/spread/shared_requests.h"

namespace hadal {

struct AnswerHow {
  GenerateOptions options = {};  // of all, but for max_tokens
  CacheOptions cache = {};
  int64_t max_running = 16;  // of one rank, at the same time
};

// Answers this rank's requests, and takes part in the passes of others until none has more to run. All ranks
// together. on_token: as Answers has it; on_answer gets each request's answer as soon as it is there.
using OnAnswer = std::function<void(int64_t number, GenerateResult result)>;
void answer_requests(SpreadRank& rank, const std::vector<NumberedRequest>& own,
                     const AnswerHow& how, const Answers::OnToken& on_token,
                     const OnAnswer& on_answer);

}  // namespace hadal
