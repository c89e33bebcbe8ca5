// spread/shared_requests.h: requests that one rank reads and all answer.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hadal/comm/communicator.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct NumberedRequest {
  int64_t number = 0;
  std::vector<int32_t> prompt;
  int64_t max_tokens = 0;
};

// What a rank knows of the requests that are there.
struct DealtRequests {
  std::vector<NumberedRequest> own;
  int64_t n_all = 0;
  int64_t context = 0;  // of the longest of all, prompt and answer
};
// Of the requests that rank 0 has, number i goes to rank i mod `n_takers`. All ranks together. Waits for
// rank 0 as long as it takes.
DealtRequests deal_out(Communicator& world, Arena& arena, int n_takers,
                       const std::vector<NumberedRequest>& all);
// What every rank has to say of its requests, on rank 0; on others nothing. All ranks together.
std::map<int64_t, std::string> gather_answers(Communicator& world, Arena& arena,
                                              const std::map<int64_t, std::string>& own);

}  // namespace hadal
