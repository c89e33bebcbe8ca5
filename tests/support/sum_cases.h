// support/sum_cases.h: operands that tell one rule of adding from another (support/sum_rules.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/core/rng.h"
#include "tests/support/sum_rules.h"

namespace hadal::test {

// Tiles as one wgmma multiplies them: out[i][j] = accumulator[i][j] + sum_k a[i][k] b[j][k]. Every pair of rows
// is a case: 512 of a tile. Rows i and i % 8 belong together where a kind of case says how a goes with b.
struct SumTiles {
  static constexpr int64_t kRowsA = 64, kRowsB = 8;
  static constexpr int64_t kCases = kRowsA * kRowsB;  // of a tile
  int64_t tiles = 0, pairs = 0;
  std::vector<uint16_t> a, b;      // [tiles][64][pairs], [tiles][8][pairs]
  std::vector<float> accumulator;  // [tiles][64][8]
  const uint16_t* row_a(int64_t n) const { return a.data() + n / kRowsB * pairs; }
  const uint16_t* row_b(int64_t n) const {
    return b.data() + (n / kCases * kRowsB + n % kRowsB) * pairs;
  }
};

struct SumKind {
  const char* name;
  bool exact;  // every rule gives the exact sum: what differs is not rounding
};
const std::vector<SumKind>& sum_kinds();

// `instructions` * format.pairs pairs of kind `kind`; finite operands and accumulators.
SumTiles sum_tiles(const CodeFormat& format, size_t kind, int64_t tiles, int64_t instructions,
                   uint64_t seed);

}  // namespace hadal::test
