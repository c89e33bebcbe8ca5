// measure/measure_engine.h: the speed of many sequences together, through the engine.
#pragma once

#include "hadal/measure/measure_infer.h"

namespace hadal {

// `batch` sequences that all write: tokens/s of all together, held against the rate of reading memory,
// when rows choose their experts as by chance.
MeasureReport measure_decode_together(Context& ctx, DeepseekV3& model,
                                      const MeasureInferOptions& options);

struct MeasureMixedOptions {
  int64_t batch = 4;             // sequences that write
  int64_t prompt_tokens = 2048;  // that another one reads meanwhile
  int64_t decode_tokens = 64;    // of each before it comes
  int64_t chunk_beside_decoding = 64;
  LatentForm cache = LatentForm::kBF16;
  uint64_t seed = 1;
};
// How a long prompt that is read slows those down that write: tokens/s and the time between two tokens
// of a sequence, before and during. And at what speed the prompt is read.
MeasureReport measure_mixed(Context& ctx, DeepseekV3& model, const MeasureMixedOptions& options);

}  // namespace hadal
