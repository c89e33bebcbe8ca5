// core/rng.h: Philox4x32-10, a counter-based generator (Salmon et al., SC'11, "Parallel random
// numbers: as easy as 1, 2, 3"). Its whole state is four numbers, so a checkpoint can hold it
// and a resumed run draws the same numbers.
#pragma once

#include <array>
#include <cstdint>

namespace hadal {

struct RngState {
  uint64_t seed = 0;    // key
  uint64_t stream = 0;  // upper half of the counter: independent sequences of one seed
  uint64_t block = 0;   // lower half of the counter: next block of four words
  uint32_t used = 4;    // words already taken from the current block; 4 = take a new block
  bool operator==(const RngState&) const = default;
};

class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : state_{seed, stream, 0, 4} {}
  explicit Rng(const RngState& state);

  uint32_t next_u32();
  uint64_t next_u64();
  double uniform();                        // [0, 1), 53 bits
  uint64_t uniform_below(uint64_t bound);  // [0, bound), unbiased; REQUIRES bound > 0
  double normal();                         // mean 0, variance 1 (Box-Muller; two uniforms a value)

  const RngState& state() const { return state_; }

 private:
  RngState state_;
  std::array<uint32_t, 4> words_{};
};

}  // namespace hadal
