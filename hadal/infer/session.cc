#include "hadal/infer/session.h"

#include <algorithm>

#include "hadal/core/clock.h"

namespace hadal {
namespace {

double ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0.0;
}

// Takes one step's tokens into the result. False when the caller wants no more.
bool take_tokens(GenerateResult& result, const EngineEvent& event, const OnToken& on_token) {
  for (size_t i = 0; i < event.tokens.size(); ++i) {
    result.tokens.push_back(event.tokens[i]);
    if (!event.logprobs.empty()) result.logprobs.push_back(event.logprobs[i]);
    if (on_token && !on_token(event.tokens[i])) return false;
  }
  return true;
}

}  // namespace

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
  return ratio(static_cast<double>(accepted()), static_cast<double>(drafted()));
}

GenerationSession::GenerationSession(Context& ctx, const DeepseekV3& model, int64_t capacity,
                                     bool with_mtp, const CacheOptions& cache)
    : engine_(ctx, model, {.context = capacity, .cache = cache, .with_mtp = with_mtp}) {}

GenerateResult GenerationSession::generate(const std::vector<int32_t>& prompt,
                                           const GenerateOptions& options, const OnToken& on_token,
                                           const OnPrefill& on_prefill) {
  GenerateResult result;
  result.prompt_tokens = std::ssize(prompt);
  const double start = monotonic_seconds();
  double prefilled = start;
  if (last_) engine_.finish(*last_);  // if an exception ended it
  const RequestId id = *engine_.add({prompt, options});
  last_ = id;
  while (result.finish_reason.empty()) {
    EngineEvent event = std::move(engine_.step().front());  // nobody else runs
    static_cast<RequestCounts&>(result) = event.counts;
    if (event.prompt_read) {
      if (on_prefill && !on_prefill(*event.prompt_read)) {
        engine_.finish(id);
        result.finish_reason = "stop";
        return result;
      }
      prefilled = monotonic_seconds();
      result.prefill_seconds = prefilled - start;
    }
    if (event.record) result.record = std::move(event.record);
    if (!take_tokens(result, event, on_token)) {
      result.finish_reason = "stop";
    } else if (event.finished) {
      result.finish_reason = *event.finished == FinishReason::kLength ? "length" : "stop";
    }
  }
  // A caller who stops ends the request here; what ended by itself has given its record.
  if (std::optional<TokenRecord> record = engine_.finish(id)) result.record = std::move(record);
  if (result.record) result.record->cut(std::ssize(prompt), std::ssize(result.tokens));
  result.decode_seconds = monotonic_seconds() - prefilled;
  return result;
}

GenerateResult generate(Context& ctx, const DeepseekV3& model, const std::vector<int32_t>& prompt,
                        const GenerateOptions& options, const OnToken& on_token,
                        const OnPrefill& on_prefill, const CacheOptions& cache) {
  const int64_t most = model.config.max_position_embeddings;  // add() speaks of what is beyond
  const int64_t capacity = std::clamp<int64_t>(
      std::ssize(prompt) + std::clamp<int64_t>(options.max_tokens, 0, most), 1, most);
  const bool with_mtp = options.draft_tokens > 0 && options.draft_from != DraftFrom::kNgram;
  GenerationSession session(ctx, model, capacity, with_mtp, cache);
  return session.generate(prompt, options, on_token, on_prefill);
}

}  // namespace hadal
