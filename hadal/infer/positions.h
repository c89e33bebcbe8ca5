// infer/positions.h: the positions of the next rows of a sequence.
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

// first, first + 1, ..., n of them
inline void append_positions(std::vector<int32_t>& positions, int64_t first, int64_t n) {
  for (int64_t i = 0; i < n; ++i) positions.push_back(static_cast<int32_t>(first + i));
}
inline std::vector<int32_t> next_positions(int64_t first, int64_t n) {
  std::vector<int32_t> positions;
  append_positions(positions, first, n);
  return positions;
}

}  // namespace hadal
