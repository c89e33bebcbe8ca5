// kernels/paged_rows.h: how the cached rows of many sequences lie in one memory.
//
// A page is 64 rows, of one sequence. Row j of a sequence is row j % 64 of its page j / 64. The pages
// of one layer are a View [n_pages, 64, d]; pages with adjacent ids are adjacent rows.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/checked_math.h"

namespace hadal {

// Also the block of keys of latent attention (kernels/cpu/latent_attention.cc): enough to hide the
// merge of blocks, few enough to share 200 keys out. A block thus lies in one page, and begins at the
// same key wherever the page is.
inline constexpr int64_t kPageRows = 64;

inline int64_t pages_for(int64_t n_rows) { return ceil_div(n_rows, kPageRows); }

// One sequence's part of a call over several.
struct SequenceRows {
  int64_t first_query = 0, n_queries = 0;  // among the call's stacked queries
  int64_t n_rows = 0;                      // cached; the last n_queries are the queries' own
  std::span<const int32_t> pages;          // ids, at least pages_for(n_rows)
};

}  // namespace hadal
