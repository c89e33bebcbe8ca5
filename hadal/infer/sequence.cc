#include "hadal/infer/sequence.h"

#include <algorithm>

#include "hadal/core/clock.h"
#include "hadal/model/head.h"

namespace hadal {

Sequence::Sequence(const DeepseekV3& model, LatentPages& pages) : model_(model), cache_(pages) {
  if (pages.n_mtp() > 0) drafter_.emplace(model_, cache_);
}

void Sequence::start(Request request) {
  request_ = std::move(request);
  rng_ = Rng(request_.options.sampling.seed);
  n_prompt_ = std::ssize(request_.prompt);
  counts_ = {.cached_tokens = reuse_cache(request_.prompt)};
  tokens_ = request_.prompt;
  logprobs_.clear();
  n_told_ = tokens_.size();
  finished_.reset();
}

// Keeps the rows of the common beginning of what is cached and the prompt; returns their number. At
// least the last token is run again, since its logits are wanted, and with MTP as many more as
// there are modules: a module's row needs the main state of its position.
int64_t Sequence::reuse_cache(const std::vector<int32_t>& prompt) {
  const int64_t seen = std::min(cache_.length(), std::ssize(tokens_));
  const auto [differs, other] =
      std::mismatch(prompt.begin(), prompt.end() - 1, tokens_.begin(), tokens_.begin() + seen);
  const int64_t common = differs - prompt.begin();
  const int64_t keep = std::clamp<int64_t>(common - cache_.pages().n_mtp(), 0, cache_.shortest());
  cache_.truncate_main(keep);
  if (drafter_) drafter_->rewind(keep);
  return keep;
}

void Sequence::read_chunk(Context& ctx, int64_t most_rows) {
  const std::span<const int32_t> prompt(tokens_);
  const int64_t begin = cache_.length(), n = std::min(most_rows, n_prompt_ - begin);
  cache_.reserve(begin + n);
  PrefillAttention attention(model_.rope, cache_);
  const HiddenRows out = cached_forward(
      ctx, model_, prompt.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)), attention);
  if (drafter_) {
    drafter_->observe(ctx, out.state(model_.config.mtp_hidden).mat());
    drafter_->catch_up(ctx, prompt);
  }
  if (reading()) return;
  const Tensor logits = head_logits(ctx, model_, out.normed.mat().rows(n - 1, n));
  const auto row = std::as_const(logits).flat<float>();
  add_token(choose(row), row);
}

double Sequence::prompt_read() const {
  return static_cast<double>(std::min(cache_.length(), n_prompt_)) / static_cast<double>(n_prompt_);
}

int32_t Sequence::choose(std::span<const float> logits) {
  const SamplingOptions& sampling = request_.options.sampling;
  if (sampling.is_plain_greedy()) return argmax(logits, sampling.n_usable_ids);
  return sample(sampling_distribution(logits, sampling, tokens_, n_generated()), rng_);
}

void Sequence::add_token(int32_t token, std::span<const float> logits) {
  tokens_.push_back(token);
  const GenerateOptions& options = request_.options;
  if (!options.top_logprobs) return;
  logprobs_.push_back(
      logprobs_of(logits, token, *options.top_logprobs, options.sampling.n_usable_ids));
}

bool Sequence::on_trial() const {
  const GenerateOptions& options = request_.options;
  return options.drop_slow_drafts && options.draft_tokens > 0 && options.sampling.is_plain_greedy();
}

// The last token wanted is this step's own, so a draft for it or beyond would be wasted.
int64_t Sequence::n_useful_drafts() const {
  const GenerateOptions& options = request_.options;
  return std::min(options.draft_tokens, options.max_tokens - n_generated() - 1);
}

const std::vector<int32_t>& Sequence::next_rows(Context& ctx) {
  const int64_t n_drafts = on_trial() && !trial_.wants_drafts() ? 0 : n_useful_drafts();
  const int64_t n_rows = std::ssize(tokens_) + n_drafts;
  drafts_.clear();
  if (n_drafts > 0) {
    cache_.reserve(n_rows);
    drafts_ =
        drafter_->draft(ctx, tokens_, n_generated(), n_drafts, request_.options.sampling, rng_);
  }
  rows_ = {tokens_.back()};
  for (const Draft& draft : drafts_) rows_.push_back(draft.token);
  cache_.reserve(n_rows);  // again: the modules gave back what lay behind their rows
  return rows_;
}

void Sequence::take_rows(Context& ctx, View<const float, 2> logits, View<const float, 2> states,
                         double started) {
  const SamplingOptions& sampling = request_.options.sampling;
  const int64_t n_known = std::ssize(tokens_), n_useful = n_useful_drafts();
  int64_t n_new = 0;
  for (bool kept = true; kept; ++n_new) {
    const std::span<const float> row = logits.row(n_new);
    const bool has_draft = n_new < std::ssize(drafts_);
    const Draft* draft = has_draft ? &drafts_[static_cast<size_t>(n_new)] : nullptr;
    if (draft == nullptr || draft->q.empty()) {
      add_token(choose(row), row);
      kept = draft != nullptr && tokens_.back() == draft->token;
    } else {
      const Verdict verdict =
          verify_draft(sampling_distribution(row, sampling, tokens_, n_generated()), *draft, rng_);
      add_token(verdict.token, row);
      kept = verdict.kept;
    }
  }
  cache_.truncate_main(n_known - 1 + n_new);
  if (drafter_) drafter_->observe(ctx, states.rows(0, n_new));
  if (on_trial() && n_useful > 0) trial_.add(n_new, monotonic_seconds() - started);
  counts_.drafts_dropped = on_trial() && trial_.decided() && !trial_.wants_drafts();
  counts_.decode_steps += 1;
  counts_.decoded_tokens += n_new;
  counts_.drafted += std::ssize(drafts_);
  counts_.accepted += n_new - 1;
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
