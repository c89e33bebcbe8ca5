// measure/measure_load.h: how fast a checkpoint becomes a model that can run, and in what memory.
#pragma once

#include <string>

#include "hadal/infer/latent_pages.h"
#include "hadal/measure/measurement.h"
#include "hadal/model/checkpoint.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct LoadMeasureOptions {
  LoadAs dtype = LoadAs::kAsStored;
  LatentForm cache = LatentForm::kBF16;
  int64_t prompt_tokens = 16;  // of the first token's prompt
  int64_t rounds = 3;
};

// What a loaded model may take beside its weights and its cache: the program itself, and what the
// rows of one chunk of a prompt need on their way through a layer.
inline constexpr double kLoadAllowanceMib = 200e6 / (1 << 20);

// Loads the folder `rounds` times after a first time that brings it into the page cache. GB/s of
// checkpoint bytes, held against the rate of reading memory; weights as stored are only mapped and
// exceed it. "first token" is the same from the folder to one token behind a prompt: what mapping puts
// off is paid there. "peak memory" counts the mapped pages and is held against weights, cache and
// allowance together: weights that are multiplied as stored stay below. details: bytes of the weights
// and the cache.
MeasureReport measure_load(Context& ctx, const std::string& folder,
                           const LoadMeasureOptions& options);

}  // namespace hadal
