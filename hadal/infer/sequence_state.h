// infer/sequence_state.h: a request in the middle of its answer, away from any engine: what one engine needs to
// go on where another has stopped. No token changes by that (docs/inference_on_ranks.md).
#pragma once

#include "hadal/infer/request.h"
#include "hadal/infer/token_record.h"
#include "hadal/tensor/tensor.h"

namespace hadal {

struct SequenceState {
  Request request;
  std::vector<int32_t> tokens;  // known: the prompt, then the answer; the last one was not read yet
  std::vector<int64_t> lengths;  // of each layer: rows cached
  Tensor pages;                  // U8 [pages, bytes of a page], as LatentPages::bytes_of
  // Of each MTP module: rows [n,d] of the state before it that it has not read, from position `first` on.
  struct Waiting {
    int64_t first = 0;
    Tensor rows;  // without data: none
  };
  std::vector<Waiting> waiting;
  int64_t n_read = 0;  // of the rows, those that prefill made, behind such rows alone
  std::vector<TokenLogprobs> logprobs;
  TokenRecord record;
  RequestCounts counts;

  int64_t n_cached() const { return lengths.front(); }
};

}  // namespace hadal
