// measure/measure_infer.h: the speed of reading a prompt and of writing token after token.
#pragma once

#include "hadal/infer/latent_pages.h"
#include "hadal/measure/measurement.h"
#include "hadal/model/deepseek_v3.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct MeasureInferOptions {
  int64_t prompt_tokens = 512, decode_tokens = 32;
  int64_t draft_tokens = 0;  // MTP speculation
  int64_t batch = 1;         // sequences that are decoded together
  LatentForm cache = LatentForm::kBF16;
  int64_t rounds = 3;
  uint64_t seed = 1;
};

// Bytes that a value of the model's weights takes, in the attention of the first layer, which is stored
// like nearly all of the model.
double bytes_per_value(const DeepseekV3& model);
// Bytes of weights that one token passes through, embedding not counted.
double active_weight_bytes(const DeepseekV3& model);

// A prompt of random tokens, best round. Held against the multiply-add peak: tokens/s that the
// model's arithmetic would allow (the head counts for one row only).
MeasureReport measure_prefill(Context& ctx, DeepseekV3& model, const MeasureInferOptions& options);
// Greedy tokens behind the prompt. Held against the rate of reading memory: tokens/s if nothing but
// the active weights had to come from DRAM once per token. Small models live in the caches and may
// exceed it.
// With drafts, the same without them is timed in turn, and the gain stands beside what the bytes read
// predict at the acceptance found (measure/step_bytes.h).
MeasureReport measure_decode(Context& ctx, DeepseekV3& model, const MeasureInferOptions& options);

}  // namespace hadal
