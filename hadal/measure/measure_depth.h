// measure/measure_depth.h: the speed of decoding behind a cache that is already deep, for one sequence
// or several at once.
#pragma once

#include "hadal/measure/measure_infer.h"

namespace hadal {

struct DepthOptions {
  int64_t depth = 0;   // cached tokens of each sequence
  int64_t batch = 1;   // sequences that decode together
  int64_t steps = 16;  // of one token each
  int64_t rounds = 3;  // the best counts
  LatentForm cache = LatentForm::kBF16;
  uint64_t seed = 1;
};

// The cached rows are random, of the size that the norm gives real ones: reading a prompt of 100,000
// tokens first would take hours and change no time of a step. Beside the figure stands what the bytes
// allow: the active weights and the cached rows of every sequence, from DRAM once a step. With more
// than one sequence a mixture of experts reads more weights than that.
MeasureReport measure_decode_at_depth(Context& ctx, DeepseekV3& model, const DepthOptions& options);

}  // namespace hadal
