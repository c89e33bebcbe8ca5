// measure/measure_ranks.h: many requests at once on ranks that share a model: how fast all are answered, how long
// each waits for its first token, its second and every other, and what travels where prompts are read on ranks
// of their own.
#pragma once

#include "hadal/infer/latent_pages.h"
#include "hadal/measure/measurement.h"
#include "hadal/spread/launched_model.h"

namespace hadal {

struct MeasureRanksOptions {
  int64_t requests = 8;  // all there from the start
  int64_t prompt_tokens = 256, decode_tokens = 32;
  int64_t draft_tokens = 0;  // by MTP
  int64_t max_running = 16;  // of one rank
  LatentForm cache = LatentForm::kBF16;
  uint64_t seed = 1;
};

// All ranks together. On rank 0 the report of all, on others an empty one. ConfigError for what the model's
// positions do not allow.
MeasureReport measure_ranks(SpreadRank& rank, const MeasureRanksOptions& options);

}  // namespace hadal
