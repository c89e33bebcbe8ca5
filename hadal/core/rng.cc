#include "hadal/core/rng.h"

#include <cmath>
#include <numbers>

namespace hadal {
namespace {

std::array<uint32_t, 4> philox_4x32_10(uint64_t seed, uint64_t stream, uint64_t block) {
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                               static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(p0)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return c;
}

}  // namespace

Rng::Rng(const RngState& state) : state_(state) {
  if (state_.used < 4) words_ = philox_4x32_10(state_.seed, state_.stream, state_.block - 1);
}

uint32_t Rng::next_u32() {
  if (state_.used >= 4) {
    words_ = philox_4x32_10(state_.seed, state_.stream, state_.block++);
    state_.used = 0;
  }
  return words_[state_.used++];
}

uint64_t Rng::next_u64() {
  const uint64_t high = next_u32();
  return high << 32 | next_u32();
}

double Rng::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

uint64_t Rng::uniform_below(uint64_t bound) {
  // Values under 2^64 mod bound would favour small results: draw again.
  const uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const uint64_t value = next_u64();
    if (value >= threshold) return value % bound;
  }
}

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace hadal
