// infer/sequence.h: one request on its way: its tokens, its pages, its drafts, its random numbers.
// Nothing of it is shared with another, so what a request gets does not depend on its neighbours.
//
//   start -> read_chunk until !reading() -> { next_rows, a pass over them, take_rows } until finished
//
// Speculation is exact: greedy output is identical with and without it, sampled output has the same
// distribution (arXiv:2302.01318).
#pragma once

#include "hadal/infer/request.h"
#include "hadal/infer/speculation_trial.h"
#include "hadal/infer/speculative.h"

namespace hadal {

class Sequence {
 public:
  Sequence(const DeepseekV3& model, LatentPages& pages);  // which outlive it

  // Takes up a request. What is cached of a common beginning of the request before and this one
  // stays cached. The pool has pages for prompt and answer.
  void start(Request request);

  // The next rows of the prompt, at most so many. The last of them give the first token.
  bool reading() const { return cache_.length() < n_prompt_; }
  void read_chunk(Context& ctx, int64_t most_rows);
  double prompt_read() const;  // share of the prompt

  // One step: the rows that the main model should see next, which are the last token and the drafts
  // behind it; then what it made of them. Logits [n,V] and states [n,d] (HiddenRows::state) of these
  // rows; `started`: when the step began, by monotonic_seconds.
  const std::vector<int32_t>& next_rows(Context& ctx);
  void take_rows(Context& ctx, View<const float, 2> logits, View<const float, 2> states,
                 double started);

  // Tokens since the last call, up to the end of the answer. The last call finds finished() set.
  std::vector<int32_t> new_tokens();
  int64_t n_told() const { return static_cast<int64_t>(n_told_) - n_prompt_; }
  // Of every token behind the prompt, if the request asks for them.
  const std::vector<TokenLogprobs>& logprobs() const { return logprobs_; }
  std::optional<FinishReason> finished() const { return finished_; }

  const Request& request() const { return request_; }
  const RequestCounts& counts() const { return counts_; }
  LatentSequence& cache() { return cache_; }
  const LatentSequence& cache() const { return cache_; }

 private:
  int64_t reuse_cache(const std::vector<int32_t>& prompt);
  int64_t n_generated() const { return std::ssize(tokens_) - n_prompt_; }
  int32_t choose(std::span<const float> logits);
  void add_token(int32_t token, std::span<const float> logits);
  bool on_trial() const;
  int64_t n_useful_drafts() const;

  const DeepseekV3& model_;
  LatentSequence cache_;
  std::optional<MtpDrafter> drafter_;
  SpeculationTrial trial_;
  std::vector<int32_t>
      tokens_;  // known; the main layers have seen the first cache_.length() of them

  Request request_;
  int64_t n_prompt_ = 0;
  std::vector<TokenLogprobs> logprobs_;
  size_t n_told_ = 0;  // tokens_ that new_tokens has given, the prompt included
  Rng rng_{0};
  std::vector<Draft> drafts_;  // of the step that is being made
  std::vector<int32_t> rows_;
  RequestCounts counts_;
  std::optional<FinishReason> finished_;
};

}  // namespace hadal
