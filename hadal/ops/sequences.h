// ops/sequences.h: how the rows of a [T, ...] tensor divide into sequences that do not see each
// other. Sequence s owns rows [offsets[s], offsets[s+1]); its first row has position 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal {

struct Sequences {
  std::vector<int64_t> offsets{0};

  static Sequences equal(int64_t n_sequences, int64_t length) {
    Sequences result;
    for (int64_t s = 1; s <= n_sequences; ++s) result.offsets.push_back(s * length);
    return result;
  }
  int64_t n() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return offsets.back(); }
  int64_t begin(int64_t s) const { return offsets[static_cast<size_t>(s)]; }
  int64_t end(int64_t s) const { return offsets[static_cast<size_t>(s) + 1]; }
  int64_t length(int64_t s) const { return end(s) - begin(s); }
};

}  // namespace hadal
