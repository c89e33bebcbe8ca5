#include "tests/support/sum_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hadal::test {
namespace {

enum Kind : size_t {
  kIntegers,
  kAnyCode,
  kOneExponent,
  kNarrow,
  kWide,
  kOneLarge,
  kCancelling,
  kNegative,
  kSubnormal,
  kZerosAndTiny,
  kAccumulatorLarge,
  kAccumulatorNear,
  kAccumulatorVanishing,
  kAccumulatorSubnormal,
};

class Draw {
 public:
  Draw(const CodeFormat& format, uint64_t seed, uint64_t stream)
      : format_(format), rng_(seed, stream) {}
  int between(int low, int high) {
    return low + static_cast<int>(rng_.uniform_below(static_cast<uint64_t>(high - low + 1)));
  }
  bool one_in(int n) { return between(1, n) == 1; }
  // Sign and mantissa at random, the field of the exponent from [low, high].
  uint16_t code(int low, int high) {
    const int top = (1 << format_.exponent_bits) - (format_.code_bytes == 1 ? 1 : 2);
    const int field = std::clamp(between(low, high), 0, top);
    const int mantissa = between(0, (1 << format_.mantissa_bits) - 1);
    const auto code = static_cast<uint16_t>(
        (between(0, 1) << format_.exponent_bits | field) << format_.mantissa_bits | mantissa);
    return is_finite(format_, code) ? code : static_cast<uint16_t>(code - 1);
  }
  // Exponents around that of 1, so that products of BF16 stay far from overflow and underflow.
  uint16_t around_one(int spread) { return code(format_.bias - spread, format_.bias + spread); }
  uint16_t magnitude(uint16_t code) const {
    return static_cast<uint16_t>(code & ((1 << format_.sign_bit()) - 1));
  }
  uint16_t negated(uint16_t code) const {
    return static_cast<uint16_t>(code ^ (1 << format_.sign_bit()));
  }
  uint16_t zero() { return static_cast<uint16_t>(between(0, 1) << format_.sign_bit()); }
  // An integer of at most 4 in magnitude.
  uint16_t integer() {
    const int value = between(0, 4);
    if (value == 0) return 0;
    const int exponent = value < 2 ? 0 : value < 4 ? 1 : 2;
    const int mantissa =
        (value << format_.mantissa_bits >> exponent) - (1 << format_.mantissa_bits);
    return static_cast<uint16_t>(
        ((between(0, 1) << format_.exponent_bits) | (exponent + format_.bias))
            << format_.mantissa_bits |
        mantissa);
  }
  float real(int low, int high) {  // 24 bits of significand, exponent from [low, high]
    const double significand = 1.0 + between(0, (1 << 23) - 1) * 0x1.0p-23;
    const double value = std::ldexp(significand, between(low, high));
    return static_cast<float>(one_in(2) ? value : -value);
  }

 private:
  CodeFormat format_;
  Rng rng_;
};

struct Pair {
  uint16_t a, b;
};

// The field of an exponent far below 1.
int small(const CodeFormat& format) { return format.code_bytes == 1 ? 0 : format.bias - 20; }

// Pair k of rows that belong together; `row` is the row of b.
Pair pair_of(const CodeFormat& format, Draw& draw, size_t kind, int64_t row, int64_t k) {
  const int top = 2 * format.bias;
  switch (kind) {
    case kIntegers:
      return {draw.integer(), draw.integer()};
    case kAnyCode:
      return {draw.code(0, top + 1), draw.code(0, top + 1)};
    case kOneExponent:
      return {draw.around_one(0), draw.around_one(0)};
    case kNarrow:
    case kAccumulatorNear:
    case kCancelling:
      return {draw.around_one(2), draw.around_one(2)};
    case kOneLarge: {
      const bool large = k % format.pairs == 5;
      return large ? Pair{draw.code(format.bias + 7, format.bias + 7), draw.around_one(3)}
                   : Pair{draw.code(0, format.bias), draw.code(format.bias - 6, format.bias)};
    }
    case kNegative: {
      const Pair p{draw.around_one(3), draw.around_one(3)};
      return {draw.negated(draw.magnitude(p.a)), draw.magnitude(p.b)};
    }
    case kSubnormal:
      return {draw.code(0, 0), draw.one_in(2) ? draw.code(0, 0) : draw.code(0, top)};
    case kZerosAndTiny: {  // a zero beside something large, few small products
      const int64_t part = (5 * k + 3 * row) % 16;
      if (part < 1) return {draw.code(small(format), small(format)), draw.code(0, format.bias)};
      return part < 9 ? Pair{draw.zero(), draw.code(top, top)}
                      : Pair{draw.code(top, top), draw.zero()};
    }
    case kAccumulatorSubnormal:
      return {draw.zero(), draw.code(0, top)};
    default: {
      const int spread = format.code_bytes == 1 ? 6 : 12;
      return {draw.around_one(spread), draw.around_one(spread)};
    }
  }
}

float accumulator_of(const CodeFormat& format, Draw& draw, size_t kind) {
  switch (kind) {
    case kIntegers:
      return static_cast<float>(draw.between(-512, 512));
    case kAnyCode:
      return draw.one_in(2) ? 0.0F : draw.real(-16, 20);
    case kSubnormal:
      return draw.one_in(2) ? 0.0F : draw.real(-24, -2);
    case kZerosAndTiny:
      if (draw.one_in(4)) return draw.one_in(2) ? 0.0F : -0.0F;
      return format.code_bytes == 1 ? draw.real(-140, -10) : draw.real(-60, -10);
    case kAccumulatorLarge:
      return draw.real(12, 40);
    case kAccumulatorNear:
      return draw.real(0, 7);
    case kAccumulatorVanishing:
      return draw.real(-40, -8);
    case kAccumulatorSubnormal:
      return draw.real(-149, -110);
    case kCancelling:
    case kNegative:
      return draw.one_in(2) ? 0.0F : draw.real(-6, 6);
    default:
      return draw.one_in(4) ? draw.real(-8, 12) : 0.0F;
  }
}

}  // namespace

const std::vector<SumKind>& sum_kinds() {
  static const std::vector<SumKind> kinds = {
      {"small integers", true},
      {"any code", false},
      {"one exponent", false},
      {"few exponents", false},
      {"many exponents", false},
      {"one large, many small", false},
      {"cancelling", false},
      {"negative", false},
      {"subnormal", false},
      {"zeros beside the largest", false},
      {"large accumulator", false},
      {"accumulator as the products", false},
      {"vanishing accumulator", false},
      {"subnormal accumulator", false},
  };
  return kinds;
}

SumTiles sum_tiles(const CodeFormat& format, size_t kind, int64_t tiles, int64_t instructions,
                   uint64_t seed) {
  SumTiles t;
  t.tiles = tiles;
  t.pairs = instructions * format.pairs;
  t.a.resize(static_cast<size_t>(tiles * SumTiles::kRowsA * t.pairs));
  t.b.resize(static_cast<size_t>(tiles * SumTiles::kRowsB * t.pairs));
  t.accumulator.resize(static_cast<size_t>(tiles * SumTiles::kCases));
  Draw draw(format, seed, kind);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    uint16_t* const b = t.b.data() + tile * SumTiles::kRowsB * t.pairs;
    for (int64_t row = 0; row < SumTiles::kRowsA; ++row) {
      uint16_t* const a = t.a.data() + (tile * SumTiles::kRowsA + row) * t.pairs;
      uint16_t* const mate = b + row % SumTiles::kRowsB * t.pairs;
      for (int64_t k = 0; k < t.pairs; ++k) {
        const Pair p = pair_of(format, draw, kind, row % SumTiles::kRowsB, k);
        a[k] = p.a;
        if (row < SumTiles::kRowsB) mate[k] = p.b;
        // The second half of every row of a nearly undoes what the first half adds with its row of b.
        const bool second = k % format.pairs >= format.pairs / 2;
        if (kind == kCancelling && second) {
          const int64_t first = k - format.pairs / 2;
          if (row < SumTiles::kRowsB) mate[k] = mate[first];
          if (!draw.one_in(8)) a[k] = draw.negated(a[first]);
        }
      }
    }
  }
  for (float& value : t.accumulator) value = accumulator_of(format, draw, kind);
  return t;
}

}  // namespace hadal::test
