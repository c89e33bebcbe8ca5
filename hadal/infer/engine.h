// infer/engine.h: text generation with a latent cache, absorbed decode and MTP speculation.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hadal/infer/latent_kv_cache.h"
#include "hadal/infer/sampler.h"
#include "hadal/infer/speculation_trial.h"
#include "hadal/infer/speculative.h"
#include "hadal/model/deepseek_v3.h"
#include "hadal/tensor/context.h"

namespace hadal {

// Drafts per step are limited so that a step's rows stay within what the kernels for few rows
// compute row by row, each as if it stood alone.
inline constexpr int64_t kMaxDraftTokens = 7;

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplingOptions sampling = {};          // temperature 0 = greedy
  std::vector<int32_t> stop_tokens = {};  // ends generation; not part of the output
  int64_t draft_tokens = 0;               // speculation depth; 0 = off. REQUIRES n_mtp > 0 when > 0
  bool drop_slow_drafts = false;          // greedy only: try both ways, keep the faster one
  // After each chunk of the prompt, with the share done; false gives up ("stop", no tokens).
  std::function<bool(double fraction)> on_prefill = {};
};

struct GenerateResult {
  std::vector<int32_t> tokens;
  std::string finish_reason;  // "stop" or "length" (also: on_token asked to stop -> "stop")
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the session's cache
  double prefill_seconds = 0, decode_seconds = 0;
  int64_t decode_steps = 0;           // passes of the main model after prefill
  int64_t decoded_tokens = 0;         // tokens those passes gave
  int64_t drafted = 0, accepted = 0;  // MTP tokens proposed and kept
  bool drafts_dropped = false;        // drop_slow_drafts found plain decoding faster

  double prefill_tokens_per_s() const;
  double decode_tokens_per_s() const;
  double accepted_tokens_per_step() const;  // 1 without speculation; 0 before the first step
  double acceptance_rate() const;           // 0 when nothing was drafted
};

// Called for every token in order; false stops the generation ("stop").
using OnToken = std::function<bool(int32_t token)>;

// ConfigError naming max_tokens unless prompt and answer fit into a context of so many tokens.
void require_room(int64_t context, int64_t n_prompt, int64_t max_tokens);

// One sequence and its cache, kept between calls: a chat's next turn prefills only what is new.
class GenerationSession {
 public:
  // `capacity` tokens at most, prompt and answer together; ConfigError when the model has fewer
  // positions. `with_mtp`: caches for the MTP modules too, so that calls may draft.
  GenerationSession(Context& ctx, const DeepseekV3& model, int64_t capacity, bool with_mtp);
  GenerationSession(const GenerationSession&) = delete;
  GenerationSession& operator=(const GenerationSession&) = delete;

  GenerateResult generate(const std::vector<int32_t>& prompt, const GenerateOptions& options,
                          const OnToken& on_token = nullptr);
  int64_t capacity() const { return cache_.capacity(); }

 private:
  void check(const std::vector<int32_t>& prompt, const GenerateOptions& options) const;
  int64_t reuse_cache(const std::vector<int32_t>& prompt);
  bool prefill(const GenerateOptions& options, Tensor& last_normed);
  void step(const GenerateOptions& options, Rng& rng, GenerateResult& result);
  int32_t choose(std::span<const float> logits, const SamplingOptions& sampling,
                 int64_t n_generated, Rng& rng) const;

  Context& ctx_;
  const DeepseekV3& model_;
  RopeTable rope_;
  LatentKvCache cache_;
  std::optional<MtpDrafter> drafter_;
  SpeculationTrial trial_;
  std::vector<int32_t> tokens_;  // known; the main cache has seen the first cache_.length() of them
  int64_t n_prompt_ = 0;
};

// A session for one call. Speculation is exact: greedy output is identical with and without it,
// sampled output has the same distribution (arXiv:2302.01318). Same seed, same threads: same
// tokens.
GenerateResult generate(Context& ctx, const DeepseekV3& model, const std::vector<int32_t>& prompt,
                        const GenerateOptions& options, const OnToken& on_token = nullptr);

}  // namespace hadal
