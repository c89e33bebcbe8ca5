// infer/sequence.h: one request on its way: its tokens, its pages, its drafts. Nothing of it is shared
// with another, so what a request gets does not depend on its neighbours.
//
//   start -> take_up -> { plan_reading, a pass, take_read } until !reading()
//                    -> { plan_decoding, a pass, take_decoded } until finished
//
// Rows of the prompt are made in MHA form, those of generated tokens in absorbed form, in whatever
// pieces and steps: so says a row's place, and its bits depend on nothing else. put_back() gives all
// pages away; after take_up() what is known and not cached is read again, each row in its own form.
// What is taken up has the form in which it was made: that of its place with Reuse::kRead, so that the
// request goes on as if nothing had been.
#pragma once

#include "hadal/infer/draft_policy.h"
#include "hadal/infer/ngram_drafter.h"
#include "hadal/infer/prefix_cache.h"
#include "hadal/infer/speculative.h"
#include "hadal/infer/token_record.h"

namespace hadal {

class Sequence {
 public:
  // All outlive it.
  Sequence(const DeepseekV3& model, LatentPages& pages, PassTurns& turns = local_turns());

  void start(Request request);
  // Begins behind what is cached of its tokens; returns how many of the rows that put_back() gave away
  // are to be made again. A request that records makes every row. REQUIRES that it has no pages.
  int64_t take_up(PrefixCache& prefixes);
  // Leaves what is cached so far to later requests.
  void store(PrefixCache& prefixes) const { prefixes.store(tokens_, n_read_, cache_); }
  // Leaves it to later requests and to itself, and gives all pages back. REQUIRES that no step is
  // planned.
  void put_back(PrefixCache& prefixes);

  // Everything of it, for another engine; and the same going on in this one. False, and nothing changes,
  // when the pool has too few pages. REQUIRES that no step is planned, that it decodes and has not ended;
  // of restore(), a new sequence.
  SequenceState save(Context& ctx) const;
  bool restore(Context& ctx, const SequenceState& state);

  // Rows that are to be read before the next token can be decoded.
  bool reading() const { return cache_.length() < n_to_read(); }
  int64_t n_to_read() const { return n_generated() == 0 ? n_prompt_ : std::ssize(tokens_) - 1; }
  double prompt_read() const;  // share of the prompt

  // Plans the next rows and takes the pages for them; false, and nothing changes, when the pool has
  // too few. Reading: at most `most_rows`, all of one form. Decoding: the last token and the drafts
  // behind it.
  bool plan_reading(int64_t most_rows);
  bool plan_decoding(const DraftPlan& plan);
  DraftOffer offer();
  DraftExperience& experience() { return experience_; }
  // The drafts of the modules, if such are planned: engine and modules make them, then take_drafts.
  std::optional<MtpDrafter::Job> mtp_job();
  void take_drafts();

  // What is planned: rows for the main model, in the form they belong in, and how many of them, the
  // last ones, want logits.
  std::span<const int32_t> rows() const { return planned_; }
  bool in_prefill_form() const { return cache_.length() < n_prompt_; }
  int64_t n_logits() const;

  // What the pass made of them: states [n,d] (HiddenRows::state) of the rows, logits [n_logits,V].
  void take_read(Context& ctx, View<const float, 2> states, View<const float, 2> logits);
  void take_decoded(Context& ctx, View<const float, 2> states, View<const float, 2> logits);
  // Rows [begin, ...) of the pass that `routing` heard are this sequence's; before take_...
  void record_rows(const RoutingListener& routing, int64_t begin);

  // Tokens since the last call (or of the whole answer after restore), up to the end of the answer. The last call finds finished() set.
  std::vector<int32_t> new_tokens();
  int64_t n_told() const { return static_cast<int64_t>(n_told_) - n_prompt_; }
  // Of every token behind the prompt, if the request asks for them.
  const std::vector<TokenLogprobs>& logprobs() const { return logprobs_; }
  TokenRecord record() const;  // of the tokens told so far, if the request asks for it
  std::optional<FinishReason> finished() const { return finished_; }

  const Request& request() const { return request_; }
  const RequestCounts& counts() const { return counts_; }
  LatentSequence& cache() { return cache_; }
  const LatentSequence& cache() const { return cache_; }

 private:
  int64_t n_generated() const { return std::ssize(tokens_) - n_prompt_; }
  int64_t n_useful_drafts() const;
  void add_token(std::span<const float> logits);
  void observe(Context& ctx, View<const float, 2> states);
  void count_step(int64_t n_new);

  const DeepseekV3& model_;
  LatentSequence cache_;
  std::optional<MtpDrafter> drafter_;
  std::vector<int32_t>
      tokens_;  // known; the main layers have seen the first cache_.length() of them

  Request request_;
  int64_t n_prompt_ = 0;
  int64_t n_read_ = 0;  // rows that prefill makes, behind such rows alone
  int64_t n_lost_ = 0;  // rows that put_back() gave away
  std::vector<TokenLogprobs> logprobs_;
  TokenRecord record_;
  size_t n_told_ = 0;  // tokens_ that new_tokens has given, the prompt included
  NgramDrafter ngrams_;
  DraftExperience experience_;
  DraftPlan plan_;  // of the step that is being made
  int64_t match_length_ = 0;
  std::vector<int32_t> planned_;  // rows of the step that is being made; behind the first, drafts
  RequestCounts counts_;
  std::optional<FinishReason> finished_;
};

}  // namespace hadal
