// infer/engine.h: text generation with a latent cache, absorbed decode and MTP speculation.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hadal/infer/sampler.h"
#include "hadal/model/deepseek_v3.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplingOptions sampling;              // temperature 0 = greedy
  std::vector<int32_t> stop_tokens;      // ends generation; not part of the output
  int64_t draft_tokens = 0;              // speculation depth; 0 = off. REQUIRES n_mtp > 0 when > 0
};

struct GenerateResult {
  std::vector<int32_t> tokens;
  std::string finish_reason;             // "stop" or "length" (also: on_token asked to stop -> "stop")
  int64_t prompt_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
  int64_t decode_steps = 0;              // passes of the main model after prefill
  int64_t drafted = 0, accepted = 0;     // MTP tokens proposed and kept
};

// Called for every token in order; false stops the generation ("stop").
using OnToken = std::function<bool(int32_t token)>;

// Speculation is exact: greedy output is identical with and without it, sampled output has the same
// distribution (arXiv:2302.01318). Same seed, same threads: same tokens.
GenerateResult generate(Context& ctx, const DeepseekV3& model, const std::vector<int32_t>& prompt,
                        const GenerateOptions& options, const OnToken& on_token = nullptr);

}  // namespace hadal
