// infer/request.h: what is asked of the engine, and what became of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "hadal/infer/logprobs.h"
#include "hadal/infer/sampler.h"
#include "hadal/model/config.h"

namespace hadal {

// Drafts per step of one sequence.
inline constexpr int64_t kMaxDraftTokens = 7;

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplingOptions sampling = {};          // temperature 0 = greedy
  std::vector<int32_t> stop_tokens = {};  // ends generation; not part of the output
  int64_t draft_tokens = 0;               // speculation depth; 0 = off. REQUIRES n_mtp > 0 when > 0
  bool drop_slow_drafts = false;          // greedy only: try both ways, keep the faster one
  // How probable each token of the answer was, and so many of the most probable ones beside it.
  std::optional<int64_t> top_logprobs = std::nullopt;
};

using RequestId = uint64_t;

struct Request {
  std::vector<int32_t> prompt;
  GenerateOptions options;
  // The rows cached for this request stay when it ends, for one that continues it, until pages get
  // scarce. Such a one reads only what differs from this one's prompt and answer.
  bool keep_cache = false;
  std::optional<RequestId> continues = std::nullopt;
};

enum class FinishReason {
  kStop,    // a stop token, or the caller
  kLength,  // max_tokens
};

struct RequestCounts {
  int64_t cached_tokens = 0;          // of the prompt, found in the cache that it continues
  int64_t decode_steps = 0;           // passes of the main model after the prompt
  int64_t decoded_tokens = 0;         // tokens those passes gave
  int64_t drafted = 0, accepted = 0;  // MTP tokens proposed and kept
  bool drafts_dropped = false;        // drop_slow_drafts found plain decoding faster
};

// ConfigError naming what is wrong with a request to a model with a context of so many tokens, prompt
// and answer together. `can_draft`: the MTP modules have caches.
void check_request(const Request& request, const ModelConfig& config, int64_t context,
                   bool can_draft);
// ConfigError naming max_tokens unless prompt and answer fit into a context of so many tokens.
void require_room(int64_t context, int64_t n_prompt, int64_t max_tokens);
// ConfigError unless the model has so many positions.
void check_context(const ModelConfig& config, int64_t context);

}  // namespace hadal
