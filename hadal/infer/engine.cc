// The life of one request: check, reuse what the cache already holds, prefill in chunks (MHA form),
// then steps of one pass each (absorbed form): the last token and the drafts behind it.
#include "hadal/infer/engine.h"

#include <algorithm>

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/infer/cached_attention.h"
#include "hadal/model/head.h"

namespace hadal {
namespace {

constexpr int64_t kPrefillRows = 512;  // bounds the memory of a chunk's activations

double ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0.0;
}

int64_t checked_capacity(const ModelConfig& config, int64_t capacity) {
  require(capacity >= 1 && capacity <= config.max_position_embeddings,
          {.field = "capacity",
           .problem = "more tokens than the model has positions",
           .found = capacity,
           .expected = {"1 to ", config.max_position_embeddings},
           .advice = "shorten the prompt or lower {max_tokens}"});
  return capacity;
}

}  // namespace

void require_room(int64_t context, int64_t n_prompt, int64_t max_tokens) {
  require(max_tokens <= context - n_prompt,
          {.field = "max_tokens",
           .problem = "the context is too short",
           .found = {n_prompt, " tokens of prompt and ", max_tokens, " to write"},
           .expected = {"at most ", context, " together"},
           .advice = "shorten the prompt or lower {max_tokens}"});
}

double GenerateResult::prefill_tokens_per_s() const {
  return ratio(static_cast<double>(prompt_tokens - cached_tokens), prefill_seconds);
}
double GenerateResult::decode_tokens_per_s() const {
  return ratio(static_cast<double>(decoded_tokens), decode_seconds);
}
double GenerateResult::accepted_tokens_per_step() const {
  return ratio(static_cast<double>(decoded_tokens), static_cast<double>(decode_steps));
}
double GenerateResult::acceptance_rate() const {
  return ratio(static_cast<double>(accepted), static_cast<double>(drafted));
}

GenerationSession::GenerationSession(Context& ctx, const DeepseekV3& model, int64_t capacity,
                                     bool with_mtp)
    : ctx_(ctx),
      model_(model),
      rope_(RopeTable::make(ctx.arena, model.config.rope(),
                            checked_capacity(model.config, capacity))),
      cache_(model.config, capacity, with_mtp ? model.config.n_mtp : 0) {
  if (cache_.n_mtp() > 0) drafter_.emplace(model_, rope_, cache_);
}

void GenerationSession::check(const std::vector<int32_t>& prompt,
                              const GenerateOptions& options) const {
  options.sampling.validate();
  require(!prompt.empty(), {.field = "prompt",
                            .problem = "no tokens",
                            .found = "0",
                            .expected = "at least 1",
                            .advice = "give some text"});
  for (const int32_t id : prompt) {
    require(id >= 0 && id < model_.config.vocab_size,
            {.field = "prompt_tokens",
             .problem = "id out of range",
             .found = id,
             .expected = {"0 to ", model_.config.vocab_size - 1},
             .advice = "use the tokenizer that belongs to this model"});
  }
  require(options.max_tokens >= 1, {.field = "max_tokens",
                                    .problem = "out of range",
                                    .found = options.max_tokens,
                                    .expected = "1 or more"});
  const int64_t n_prompt = static_cast<int64_t>(prompt.size());
  require_room(capacity(), n_prompt, options.max_tokens);
  require(options.draft_tokens >= 0 && options.draft_tokens <= kMaxDraftTokens,
          {.field = "draft_tokens",
           .problem = "out of range",
           .found = options.draft_tokens,
           .expected = {"0 to ", kMaxDraftTokens},
           .advice = "1 to 3 are usual"});
  require(options.draft_tokens == 0 || drafter_, {.field = "draft_tokens",
                                                  .problem = "the model has no MTP module",
                                                  .found = {options.draft_tokens, " drafts"},
                                                  .expected = "off",
                                                  .advice = "use {draft_tokens} off"});
}

// Keeps the rows of the common beginning of what is cached and the prompt; returns their number. At
// least the last token is run again, since its logits are wanted, and with MTP as many more as
// there are modules: a module's row needs the main state of its position.
int64_t GenerationSession::reuse_cache(const std::vector<int32_t>& prompt) {
  const int64_t seen = std::min(cache_.length(), static_cast<int64_t>(tokens_.size()));
  const auto [differs, other] =
      std::mismatch(prompt.begin(), prompt.end() - 1, tokens_.begin(), tokens_.begin() + seen);
  const int64_t common = static_cast<int64_t>(differs - prompt.begin());
  const int64_t keep = std::clamp<int64_t>(common - cache_.n_mtp(), 0, cache_.shortest());
  cache_.truncate_main(keep);
  if (drafter_) drafter_->rewind(keep);
  tokens_ = prompt;
  return keep;
}

bool GenerationSession::prefill(const GenerateOptions& options, Tensor& last_normed) {
  const std::span<const int32_t> prompt(tokens_);
  const int64_t n_prompt = static_cast<int64_t>(prompt.size());
  while (cache_.length() < n_prompt) {
    const int64_t begin = cache_.length(), n = std::min(kPrefillRows, n_prompt - begin);
    PrefillAttention attention(rope_, cache_);
    const HiddenRows out = cached_forward(
        ctx_, model_, prompt.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)),
        attention);
    if (drafter_) {
      drafter_->observe(out, n);
      drafter_->catch_up(ctx_, prompt);
    }
    if (cache_.length() == n_prompt) last_normed = last_row(ctx_, out.normed);
    const double fraction = static_cast<double>(cache_.length()) / static_cast<double>(n_prompt);
    if (options.on_prefill && !options.on_prefill(fraction)) return false;
  }
  return true;
}

int32_t GenerationSession::choose(std::span<const float> logits, const SamplingOptions& sampling,
                                  int64_t n_generated, Rng& rng) const {
  if (sampling.is_plain_greedy()) return argmax(logits, sampling.n_usable_ids);
  return sample(sampling_distribution(logits, sampling, tokens_, n_generated), rng);
}

// One pass over the last token and the drafts behind it; appends one token and the drafts kept.
void GenerationSession::step(const GenerateOptions& options, Rng& rng, GenerateResult& result) {
  const SamplingOptions& sampling = options.sampling;
  const int64_t n_known = static_cast<int64_t>(tokens_.size());
  const int64_t n_generated = n_known - n_prompt_;
  // The last token wanted is this step's own, so a draft for it or beyond would be wasted.
  const int64_t n_useful = std::min(options.draft_tokens, options.max_tokens - n_generated - 1);
  const bool on_trial =
      options.drop_slow_drafts && options.draft_tokens > 0 && sampling.is_plain_greedy();
  const int64_t n_drafts = on_trial && !trial_.wants_drafts() ? 0 : n_useful;
  const double start = monotonic_seconds();
  std::vector<Draft> drafts;
  if (n_drafts > 0) drafts = drafter_->draft(ctx_, tokens_, n_generated, n_drafts, sampling, rng);

  std::vector<int32_t> rows{tokens_.back()};
  for (const Draft& draft : drafts) rows.push_back(draft.token);
  AbsorbedAttention attention(rope_, cache_);
  const HiddenRows out = cached_forward(ctx_, model_, rows, attention);
  const Tensor logits = head_logits(ctx_, model_, out.normed.mat());

  int64_t n_new = 0;
  for (bool kept = true; kept; ++n_new) {
    const std::span<const float> row = logits.mat().row(n_new);
    const bool has_draft = n_new < static_cast<int64_t>(drafts.size());
    const Draft* draft = has_draft ? &drafts[static_cast<size_t>(n_new)] : nullptr;
    if (draft == nullptr || draft->q.empty()) {
      tokens_.push_back(choose(row, sampling, n_generated + n_new, rng));
      kept = draft != nullptr && tokens_.back() == draft->token;
    } else {
      const Verdict verdict = verify_draft(
          sampling_distribution(row, sampling, tokens_, n_generated + n_new), *draft, rng);
      tokens_.push_back(verdict.token);
      kept = verdict.kept;
    }
  }
  cache_.truncate_main(n_known - 1 + n_new);
  if (drafter_) drafter_->observe(out, n_new);
  if (on_trial && n_useful > 0) trial_.add(n_new, monotonic_seconds() - start);
  result.drafts_dropped = on_trial && trial_.decided() && !trial_.wants_drafts();
  result.decode_steps += 1;
  result.decoded_tokens += n_new;
  result.drafted += static_cast<int64_t>(drafts.size());
  result.accepted += n_new - 1;
}

GenerateResult GenerationSession::generate(const std::vector<int32_t>& prompt,
                                           const GenerateOptions& options,
                                           const OnToken& on_token) {
  check(prompt, options);
  GenerateResult result;
  Rng rng(options.sampling.seed);
  const double start = monotonic_seconds();
  n_prompt_ = result.prompt_tokens = static_cast<int64_t>(prompt.size());
  result.cached_tokens = reuse_cache(prompt);
  Tensor normed;
  if (!prefill(options, normed)) {
    result.finish_reason = "stop";
    return result;
  }
  const Tensor logits = head_logits(ctx_, model_, normed.mat());
  tokens_.push_back(choose(logits.flat<float>(), options.sampling, 0, rng));
  const double prefilled = monotonic_seconds();
  result.prefill_seconds = prefilled - start;

  const auto is_stop = [&](int32_t token) {
    return std::find(options.stop_tokens.begin(), options.stop_tokens.end(), token) !=
           options.stop_tokens.end();
  };
  for (size_t next = prompt.size(); result.finish_reason.empty(); ++next) {
    if (next == tokens_.size()) step(options, rng, result);
    const int32_t token = tokens_[next];
    if (is_stop(token)) {
      result.finish_reason = "stop";
      break;
    }
    result.tokens.push_back(token);
    if (on_token && !on_token(token)) {
      result.finish_reason = "stop";
    } else if (static_cast<int64_t>(result.tokens.size()) == options.max_tokens) {
      result.finish_reason = "length";
    }
  }
  result.decode_seconds = monotonic_seconds() - prefilled;
  return result;
}

GenerateResult generate(Context& ctx, const DeepseekV3& model, const std::vector<int32_t>& prompt,
                        const GenerateOptions& options, const OnToken& on_token) {
  const int64_t most = model.config.max_position_embeddings;  // check() speaks of what is beyond
  const int64_t n_prompt = static_cast<int64_t>(prompt.size());
  const int64_t capacity =
      std::clamp<int64_t>(n_prompt + std::clamp<int64_t>(options.max_tokens, 0, most), 1, most);
  GenerationSession session(ctx, model, capacity, options.draft_tokens > 0);
  return session.generate(prompt, options, on_token);
}

}  // namespace hadal
