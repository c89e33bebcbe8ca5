#include "hadal/infer/batch_share.h"

namespace hadal {

void append_positions(std::vector<int32_t>& positions, std::span<const BatchShare> shares,
                      int64_t layer) {
  for (const auto& [sequence, n] : shares) {
    const int64_t first = sequence->length(layer);
    for (int64_t i = 0; i < n; ++i) positions.push_back(static_cast<int32_t>(first + i));
  }
}

int64_t cache_latents(Context& ctx, View<const float, 2> latents, int64_t first,
                      std::span<const BatchShare> shares, int64_t layer) {
  for (const auto& [sequence, n] : shares) {
    sequence->append(ctx, layer, latents.rows(first, first + n));
    first += n;
  }
  return first;
}

}  // namespace hadal
