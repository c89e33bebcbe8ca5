#include "hadal/infer/sequence.h"

#include <algorithm>
#include <utility>

#include "hadal/model/head.h"

namespace hadal {
namespace {

// States of plain steps that may wait for a draft before the modules read them: few enough to cost no
// memory, and many for one pass.
constexpr int64_t kMostWaiting = 64;

}  // namespace

Sequence::Sequence(const DeepseekV3& model, LatentPages& pages, PassTurns& turns)
    : model_(model), cache_(pages) {
  if (pages.n_mtp() > 0) drafter_.emplace(model_, cache_, turns);
}

void Sequence::start(Request request) {
  request_ = std::move(request);
  n_prompt_ = std::ssize(request_.prompt);
  n_read_ = n_prompt_;
  tokens_ = request_.prompt;
  n_told_ = tokens_.size();
}

int64_t Sequence::take_up(PrefixCache& prefixes) {
  const int64_t n_lost = std::exchange(n_lost_, 0);
  PrefixCache::Hit hit;
  if (!request_.options.record) {
    // Where bits count, rows behind the prompt are made in absorbed form, and the cache has no such.
    const bool prompt_alone = prefixes.reuse() == Reuse::kRead;
    hit = prefixes.adopt(prompt_alone ? request_.prompt : tokens_, cache_);
  }
  if (drafter_) drafter_->rewind(hit.n_rows);
  n_read_ = hit.n_read == hit.n_rows ? std::max(n_prompt_, hit.n_read) : hit.n_read;
  if (counts_.preemptions == 0) counts_.cached_tokens = std::min(hit.n_rows, n_prompt_);
  const int64_t n_again = std::max<int64_t>(0, n_lost - hit.n_rows);
  counts_.recomputed_tokens += n_again;
  return n_again;
}

void Sequence::put_back(PrefixCache& prefixes) {
  counts_.preemptions += 1;
  n_lost_ = cache_.length();
  store(prefixes);
  cache_.truncate_main(0);
  if (drafter_) drafter_->rewind(0);
  record_.drop_rows(0);
}

SequenceState Sequence::save(Context& ctx) const {
  SequenceState state;
  state.request = request_;
  state.tokens = tokens_;
  state.n_read = n_read_;
  for (int64_t layer = 0; layer < cache_.pages().n_layers(); ++layer) {
    state.lengths.push_back(cache_.length(layer));
  }
  state.pages = cache_.saved_pages(ctx.arena);
  if (drafter_) state.waiting = drafter_->saved(ctx);
  state.logprobs = logprobs_;
  state.record = record_;
  state.counts = counts_;
  return state;
}

bool Sequence::restore(Context& ctx, const SequenceState& state) {
  if (!cache_.restore(state.pages, state.lengths)) return false;
  if (drafter_) drafter_->restore(ctx, state.waiting);
  start(state.request);
  tokens_ = state.tokens;
  n_read_ = state.n_read;
  logprobs_ = state.logprobs;
  record_ = state.record;
  counts_ = state.counts;
  return true;
}

double Sequence::prompt_read() const {
  return static_cast<double>(std::min(cache_.length(), n_prompt_)) / static_cast<double>(n_prompt_);
}

bool Sequence::plan_reading(int64_t most_rows) {
  const int64_t begin = cache_.length();
  const int64_t end = std::min(begin + most_rows, in_prefill_form() ? n_prompt_ : n_to_read());
  if (!cache_.reserve(end)) return false;
  planned_.assign(tokens_.begin() + begin, tokens_.begin() + end);
  return true;
}

// The last token wanted is this step's own, so a draft for it or beyond would be wasted.
int64_t Sequence::n_useful_drafts() const {
  const GenerateOptions& options = request_.options;
  return std::min(options.draft_tokens, options.max_tokens - n_generated() - 1);
}

DraftOffer Sequence::offer() {
  const GenerateOptions& options = request_.options;
  const int64_t most = n_useful_drafts();
  DraftOffer result;
  if (most <= 0) return result;
  if (drafter_ && options.draft_from != DraftFrom::kNgram) result.n_mtp = most;
  if (options.draft_from != DraftFrom::kMtp) {
    ngrams_.observe(tokens_);
    result.match_length = ngrams_.match_length();
    result.n_ngram = result.match_length > 0 ? most : 0;
  }
  return result;
}

bool Sequence::plan_decoding(const DraftPlan& plan) {
  if (!cache_.reserve(std::ssize(tokens_) + plan.n)) return false;
  plan_ = plan;
  match_length_ = ngrams_.match_length();
  planned_ = {tokens_.back()};
  if (plan.source == DraftSource::kNgram) {
    const std::vector<int32_t> drafts = ngrams_.propose(tokens_, plan.n);
    planned_.insert(planned_.end(), drafts.begin(), drafts.end());
  }
  return true;
}

std::optional<MtpDrafter::Job> Sequence::mtp_job() {
  if (plan_.source != DraftSource::kMtp) return std::nullopt;
  return MtpDrafter::Job{&*drafter_, &tokens_, n_generated(), plan_.n, &request_.options.sampling};
}

void Sequence::take_drafts() {
  planned_.insert(planned_.end(), tokens_.end() - plan_.n, tokens_.end());
  tokens_.resize(tokens_.size() - static_cast<size_t>(plan_.n));
  // Again: the modules gave back what lay behind their rows, so it is there.
  cache_.reserve(std::ssize(tokens_) + plan_.n);
}

int64_t Sequence::n_logits() const {
  if (!reading()) return std::ssize(planned_);
  return n_generated() == 0 && cache_.length() + std::ssize(planned_) == n_prompt_ ? 1 : 0;
}

void Sequence::observe(Context& ctx, View<const float, 2> states) {
  if (!drafter_) return;
  drafter_->observe(ctx, states);
  const std::span<const int32_t> known(tokens_);
  if (cache_.length() <= n_prompt_) {
    drafter_->catch_up(ctx, known.first(static_cast<size_t>(n_prompt_)),
                       MtpDrafter::Form::kPrefill);
  } else if (drafter_->n_waiting() >= kMostWaiting) {
    // The row of the last token is left for the draft that rests on it.
    drafter_->catch_up(ctx, known.first(known.size() - 1), MtpDrafter::Form::kAbsorbed);
  }
}

void Sequence::record_rows(const RoutingListener& routing, int64_t begin) {
  if (request_.options.record) {
    routing.append_to(record_, begin, begin + std::ssize(planned_));
  }
}

void Sequence::add_token(std::span<const float> logits) {
  const GenerateOptions& options = request_.options;
  std::vector<int32_t> candidates;
  const int32_t token = choose_token(logits, options.sampling, tokens_, n_generated(),
                                     options.record ? &candidates : nullptr);
  if (options.record) record_.add_mask(candidates);
  tokens_.push_back(token);
  if (!options.top_logprobs) return;
  logprobs_.push_back(
      logprobs_of(logits, token, *options.top_logprobs, options.sampling.n_usable_ids));
}

void Sequence::take_read(Context& ctx, View<const float, 2> states, View<const float, 2> logits) {
  observe(ctx, states);
  if (logits.dim(0) > 0) add_token(logits.row(0));
}

void Sequence::take_decoded(Context& ctx, View<const float, 2> states,
                            View<const float, 2> logits) {
  const int64_t n_known = std::ssize(tokens_), n_rows = std::ssize(planned_);
  int64_t n_new = 0;
  for (bool kept = true; kept; ++n_new) {
    add_token(logits.row(n_new));
    kept = n_new + 1 < n_rows && tokens_.back() == planned_[static_cast<size_t>(n_new + 1)];
  }
  cache_.truncate_main(n_known - 1 + n_new);
  record_.drop_rows(cache_.length());
  observe(ctx, states.rows(0, n_new));
  count_step(n_new);
}

void Sequence::count_step(int64_t n_new) {
  counts_.decode_steps += 1;
  counts_.decoded_tokens += n_new;
  experience_.fade();
  if (plan_.n == 0) {
    counts_.plain_steps += 1;
    return;
  }
  experience_.of(plan_.source, match_length_).add(plan_.n, n_new - 1);
  DraftCounts& counts = plan_.source == DraftSource::kMtp ? counts_.mtp : counts_.ngram;
  counts.drafted += plan_.n;
  counts.accepted += n_new - 1;
}

TokenRecord Sequence::record() const {
  TokenRecord result = record_;
  result.cut(n_prompt_, n_told());
  return result;
}

std::vector<int32_t> Sequence::new_tokens() {
  const GenerateOptions& options = request_.options;
  std::vector<int32_t> result;
  while (!finished_ && n_told_ < tokens_.size()) {
    const int32_t token = tokens_[n_told_];
    if (std::ranges::find(options.stop_tokens, token) != options.stop_tokens.end()) {
      finished_ = FinishReason::kStop;
      break;
    }
    result.push_back(token);
    ++n_told_;
    if (static_cast<int64_t>(n_told_) - n_prompt_ == options.max_tokens) {
      finished_ = FinishReason::kLength;
    }
  }
  return result;
}

}  // namespace hadal
