// kernels/cpu/grain.h: how much work a thread must get before waking it pays.
#pragma once

#include <algorithm>
#include <cstdint>

namespace hadal::cpu {

// Waking a sleeping worker costs about as much as streaming this many elements.
inline constexpr int64_t kGrainElements = 8192;

// Rows of `row_elements` elements each that one thread should get at least.
inline int64_t row_grain(int64_t row_elements) {
  return std::max<int64_t>(1, kGrainElements / std::max<int64_t>(1, row_elements));
}

// Columns are cut at multiples of a cache line, so that threads share none but at the edges of rows that
// begin within one.
inline constexpr int64_t kColumnGrain = 16;

}  // namespace hadal::cpu
