#include "hadal/infer/session.h"

#include <algorithm>
#include <utility>

#include "hadal/core/clock.h"

namespace hadal {
namespace {

double ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0.0;
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

RunningAnswer::RunningAnswer(int64_t prompt_tokens, double prefill_seconds)
    : start_(monotonic_seconds()), prefilled_(start_) {
  result_.prompt_tokens = prompt_tokens;
  result_.prefill_seconds = prefill_seconds;
}

double RunningAnswer::seconds_so_far() const { return monotonic_seconds() - start_; }

void RunningAnswer::take(EngineEvent event, const OnToken& on_token) {
  static_cast<RequestCounts&>(result_) = event.counts;
  if (event.prompt_read) {
    prefilled_ = monotonic_seconds();
    result_.prefill_seconds = prefilled_ - start_;
  }
  if (event.record) result_.record = std::move(event.record);
  for (size_t i = 0; i < event.tokens.size(); ++i) {
    result_.tokens.push_back(event.tokens[i]);
    if (!event.logprobs.empty()) result_.logprobs.push_back(event.logprobs[i]);
    if (!on_token || on_token(event.tokens[i])) continue;
    result_.finish_reason = "stop";
    return;
  }
  if (event.finished) {
    result_.finish_reason = *event.finished == FinishReason::kLength ? "length" : "stop";
  }
}

GenerateResult RunningAnswer::end(Engine& engine, RequestId id) {
  if (!over()) result_.finish_reason = "stop";
  // A caller who stops ends the request here; what ended by itself has given its record.
  if (std::optional<TokenRecord> record = engine.finish(id)) result_.record = std::move(record);
  if (result_.record) result_.record->cut(result_.prompt_tokens, std::ssize(result_.tokens));
  result_.decode_seconds = monotonic_seconds() - prefilled_;
  return std::move(result_);
}

void Answers::expect(RequestId id, int64_t number, RunningAnswer answer) {
  running_.emplace(id, Running{number, std::move(answer)});
}

RunningAnswer Answers::forget(RequestId id) {
  return std::move(running_.extract(id).mapped().answer);
}

void Answers::take(std::vector<EngineEvent> events) {
  for (EngineEvent& event : events) {
    const auto found = running_.find(event.id);
    auto& [number, answer] = found->second;
    const auto told = [&, n = number](int32_t token) { return !on_token_ || on_token_(n, token); };
    answer.take(std::move(event), told);
    if (!answer.over()) continue;
    finished_.emplace(number, answer.end(engine_, found->first));
    running_.erase(found);
  }
}

GenerationSession::GenerationSession(Context& ctx, const DeepseekV3& model, int64_t capacity,
                                     bool with_mtp, const CacheOptions& cache, PassTurns& turns)
    : engine_(ctx, model, {.context = capacity, .cache = cache, .with_mtp = with_mtp}, turns) {}

GenerateResult GenerationSession::generate(const std::vector<int32_t>& prompt,
                                           const GenerateOptions& options, const OnToken& on_token,
                                           const OnPrefill& on_prefill) {
  RunningAnswer answer(std::ssize(prompt));
  if (last_) engine_.finish(*last_);  // if an exception ended it
  const RequestId id = *engine_.add({prompt, options});
  last_ = id;
  while (!answer.over()) {
    EngineEvent event = std::move(engine_.step().front());  // nobody else runs
    if (event.prompt_read && on_prefill && !on_prefill(*event.prompt_read)) break;
    answer.take(std::move(event), on_token);
  }
  return answer.end(engine_, id);
}

GenerateResult generate(Context& ctx, const DeepseekV3& model, const std::vector<int32_t>& prompt,
                        const GenerateOptions& options, const OnToken& on_token,
                        const OnPrefill& on_prefill, const CacheOptions& cache, PassTurns& turns) {
  const int64_t most = model.config.max_position_embeddings;  // add() speaks of what is beyond
  const int64_t capacity = std::clamp<int64_t>(
      std::ssize(prompt) + std::clamp<int64_t>(options.max_tokens, 0, most), 1, most);
  const bool with_mtp = options.draft_tokens > 0 && options.draft_from != DraftFrom::kNgram;
  GenerationSession session(ctx, model, capacity, with_mtp, cache, turns);
  return session.generate(prompt, options, on_token, on_prefill);
}

}  // namespace hadal
