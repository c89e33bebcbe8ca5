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

// Where drafts come from. kAny: from the text's own repetitions where there are some
// (infer/ngram_drafter.h), else from the MTP modules, if the model has them.
enum class DraftFrom { kAny, kMtp, kNgram };

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplingOptions sampling = {};          // temperature 0 = greedy
  std::vector<int32_t> stop_tokens = {};  // ends generation; not part of the output
  int64_t draft_tokens = 0;               // drafts per step at most; 0 = off
  DraftFrom draft_from = DraftFrom::kAny;
  bool drop_slow_drafts = false;  // of what may be drafted, only as much as measured to pay
  bool record = false;            // experts and sampling masks (infer/token_record.h)
  // How probable each token of the answer was, and so many of the most probable ones beside it.
  std::optional<int64_t> top_logprobs = std::nullopt;
};

using RequestId = uint64_t;

struct Request {
  std::vector<int32_t> prompt;
  GenerateOptions options;
};

enum class FinishReason {
  kStop,    // a stop token, or the caller
  kLength,  // max_tokens
};

struct DraftCounts {
  int64_t drafted = 0, accepted = 0;  // tokens proposed and kept
};

struct RequestCounts {
  int64_t cached_tokens = 0;   // of the prompt, found in the cache
  int64_t decode_steps = 0;    // passes of the main model after the prompt
  int64_t decoded_tokens = 0;  // tokens those passes gave
  int64_t plain_steps = 0;     // of the passes, those that no draft was made for
  DraftCounts mtp = {}, ngram = {};
  int64_t preemptions = 0;        // times that its pages were taken away
  int64_t recomputed_tokens = 0;  // rows that were read again for that
  int64_t drafted() const { return mtp.drafted + ngram.drafted; }
  int64_t accepted() const { return mtp.accepted + ngram.accepted; }
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
