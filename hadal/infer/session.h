// infer/session.h: one conversation: an engine with one request at a time. Each reads only what is
// new to it. And several requests that run together, until all have their answers.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "hadal/infer/engine.h"

namespace hadal {

struct GenerateResult : RequestCounts {
  std::vector<int32_t> tokens;
  std::vector<TokenLogprobs> logprobs;  // of each of them, if they were asked for
  std::string finish_reason;  // "stop" or "length" (also: on_token asked to stop -> "stop")
  int64_t prompt_tokens = 0;
  std::optional<TokenRecord> record;  // if it was asked for
  double prefill_seconds = 0, decode_seconds = 0;

  double prefill_tokens_per_s() const;
  double decode_tokens_per_s() const;
  double accepted_tokens_per_step() const;  // 1 without speculation; 0 before the first step
  double acceptance_rate() const;           // 0 when nothing was drafted
};

// Called for every token in order; false stops the generation ("stop").
using OnToken = std::function<bool(int32_t token)>;
// After each chunk of the prompt, with the share done; false gives up ("stop", no tokens).
using OnPrefill = std::function<bool(double fraction)>;

// An answer while its request runs: what an engine's events make of it.
class RunningAnswer {
 public:
  // `prefill_seconds`: if another engine has read the prompt, its time.
  explicit RunningAnswer(int64_t prompt_tokens, double prefill_seconds = 0);
  // Of one step. From the one after which over() is true, there are no more.
  void take(EngineEvent event, const OnToken& on_token);
  double seconds_so_far() const;
  bool over() const { return !result_.finish_reason.empty(); }
  // The request leaves the engine, by itself or because the caller wants no more of it.
  GenerateResult end(Engine& engine, RequestId id);

 private:
  GenerateResult result_;
  double start_, prefilled_;
};

// The requests of an engine, by numbers of the caller's.
class Answers {
 public:
  // Called for every token of a request in order; false ends the request ("stop").
  using OnToken = std::function<bool(int64_t number, int32_t token)>;
  explicit Answers(Engine& engine, OnToken on_token = nullptr)
      : engine_(engine), on_token_(std::move(on_token)) {}

  void expect(RequestId id, int64_t number, RunningAnswer answer);
  void take(std::vector<EngineEvent> events);  // of a step
  // The request has left the engine; what is known of its answer.
  RunningAnswer forget(RequestId id);
  // Those of requests that are over, once.
  std::map<int64_t, GenerateResult> finished() { return std::exchange(finished_, {}); }

 private:
  struct Running {
    int64_t number;
    RunningAnswer answer;
  };
  Engine& engine_;
  OnToken on_token_;
  std::map<RequestId, Running> running_;
  std::map<int64_t, GenerateResult> finished_;
};

// A chat's next turn prefills only what is new. Not thread-safe.
class GenerationSession {
 public:
  // `capacity` tokens at most, prompt and answer together; ConfigError when the model has fewer
  // positions. `with_mtp`: caches for the MTP modules too, so that calls may draft. REQUIRES model.ensure_rope(arena, capacity).
  GenerationSession(Context& ctx, const DeepseekV3& model, int64_t capacity, bool with_mtp,
                    const CacheOptions& cache = {}, PassTurns& turns = local_turns());

  GenerateResult generate(const std::vector<int32_t>& prompt, const GenerateOptions& options,
                          const OnToken& on_token = nullptr, const OnPrefill& on_prefill = nullptr);
  int64_t capacity() const { return engine_.context(); }

 private:
  Engine engine_;
  std::optional<RequestId> last_;  // that an exception may have left running
};

// A session for one call. Same seed: same tokens.
GenerateResult generate(Context& ctx, const DeepseekV3& model, const std::vector<int32_t>& prompt,
                        const GenerateOptions& options, const OnToken& on_token = nullptr,
                        const OnPrefill& on_prefill = nullptr, const CacheOptions& cache = {},
                        PassTurns& turns = local_turns());

}  // namespace hadal
