// spread/answer_requests.h: requests that are there from the start, answered by ranks that share a model. On a
// split, readers make the rows of prompts and the first token, and hand each request over to its writer
// (spread/sequence_transfer.h), which goes on: the tokens are the same.
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

// Where answers arrive: on_token as Answers has it, on_answer once a request, both on its writer; on_read, if
// wanted, on its reader when the first token is there.
struct AnswerSink {
  Answers::OnToken on_token;
  std::function<void(int64_t number, GenerateResult result)> on_answer;
  std::function<void(int64_t number)> on_read = {};
};

struct AnswerTraffic {                 // of this rank
  int64_t n_sent = 0, bytes_sent = 0;  // requests handed over
};

// Answers this rank's requests, or those that come to it, and takes part in the passes of others until none has
// more to run. All ranks together, each with what deal_out(..., rank.n_readers(), ...) gave it.
AnswerTraffic answer_requests(SpreadRank& rank, const DealtRequests& requests, const AnswerHow& how,
                              const AnswerSink& sink);

}  // namespace hadal
