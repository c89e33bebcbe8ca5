// kernels/row_range.h: which rows go where, shared by ops/copy.h and its kernels.
#pragma once

#include <cstdint>

namespace hadal {

// Rows [to, to + n) of one matrix and [from, from + n) of another.
struct RowRange {
  int64_t to = 0, from = 0, n = 0;
};

}  // namespace hadal
