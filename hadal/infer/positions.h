// infer/positions.h: the positions of the next rows of a sequence.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

namespace hadal {

// first, first + 1, ..., n of them
inline std::vector<int32_t> next_positions(int64_t first, int64_t n) {
  std::vector<int32_t> positions(static_cast<size_t>(n));
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(first));
  return positions;
}

}  // namespace hadal
