// infer/batch_share.h: whose rows a pass consists of.
#pragma once

#include <span>
#include <vector>

#include "hadal/infer/latent_pages.h"

namespace hadal {

// `n` rows of a pass, behind those of the shares before: the next ones of `sequence`.
struct BatchShare {
  LatentSequence* sequence;
  int64_t n;
};

// The positions of the shares' rows in their sequences, as layer `layer` has them.
void append_positions(std::vector<int32_t>& positions, std::span<const BatchShare> shares,
                      int64_t layer);
// Appends every share's rows to the layer's pages; they begin with row `first` of `latents`. Returns
// the number of the row behind them.
int64_t cache_latents(Context& ctx, View<const float, 2> latents, int64_t first,
                      std::span<const BatchShare> shares, int64_t layer);

}  // namespace hadal
