// kernels/latent_ranges.h: how the keys of a sequence in the latent cache are shared out. Where a range
// begins depends on nothing but its number, so a query meets the same ranges in any company.
#pragma once

#include "hadal/kernels/paged_rows.h"

namespace hadal {

// Keys between two corrections of the running sums of a processor, at most: two pages.
inline constexpr int64_t kLatentBlock = 2 * kPageRows;

// Ranges grow with depth: short ones share a short cache out, and a long cache leaves few partial
// results (at 128K keys and 128 heads 36 MB, not 560 MB).
constexpr int64_t range_begin(int64_t range) {
  if (range < 32) return range * kLatentBlock;
  if (range < 88) return (32 + (range - 32) * 4) * kLatentBlock;
  return (256 + (range - 88) * 16) * kLatentBlock;
}
constexpr int64_t n_ranges(int64_t n_keys) {
  int64_t n = 0;
  while (range_begin(n) < n_keys) ++n;
  return n;
}

}  // namespace hadal
