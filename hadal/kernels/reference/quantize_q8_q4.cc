// Least squares over a few starting points. For codes c of a block x, with r = x at - c what rounding
// took off,
//
//   min over s of sum_i (x_i - s c_i)^2 = (sum r^2 - (sum r c)^2 / sum c^2) / at^2
//   there s = (1 + sum r c / sum c^2) / at
//
// Candidates differ in `at`: the code, not always whole, at which the value of largest magnitude stands.
// A signed scale lets it be the one code that 4 bits have more of on the negative side.
// docs/decisions/018-scales-by-least-squares.md has what else was tried.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "hadal/kernels/quantize_q8_q4.h"
#include "hadal/tensor/quantized.h"

namespace hadal::reference {
namespace {

// One block in floats, zeros behind a ragged end: a code of 0 adds to no sum.
using Block = std::array<float, kQuantBlock>;

constexpr float kSmallestScale = 0x1.0p-126F;  // keep clear of subnormals

struct Codes {
  float lowest, highest;
  float first, last, step;  // where the largest value may stand, as a magnitude
};
constexpr Codes kCodes8{-127.0F, 127.0F, 123.0F, 131.0F, 1.0F};
constexpr Codes kCodes4{-8.0F, 7.0F, 7.0F, 9.0F, 0.25F};

// The nearest whole number, ties to even: what std::nearbyint gives for |x| < 2^22, in two additions
// that compilers do several of at once.
float rounded(float x) {
  constexpr float kShift = 0x1.8p23F;
  return (x + kShift) - kShift;
}
float code_of(float x, const Codes& codes) {
  return std::min(std::max(rounded(x), codes.lowest), codes.highest);
}

float largest_of(const Block& x) {
  float largest = 0.0F;
  for (const float value : x) {
    if (std::abs(value) > std::abs(largest)) largest = value;
  }
  return largest;
}

// The least-squares scale of unit, a block scaled to a largest value of -1.
float best_scale(const Block& unit, const Codes& codes) {
  float least = std::numeric_limits<float>::infinity(), best = 1.0F;
  for (float at = codes.first; at <= codes.last; at += codes.step) {
    // Partial sums in a fixed order, which compilers may add side by side.
    constexpr size_t kParts = 8;
    std::array<float, kParts> rr{}, rc{}, cc{};
    for (size_t i = 0; i < unit.size(); i += kParts) {
      for (size_t part = 0; part < kParts; ++part) {
        const float x = unit[i + part] * at;
        const float c = code_of(x, codes), r = x - c;
        rr[part] += r * r;
        rc[part] += r * c;
        cc[part] += c * c;
      }
    }
    float sum_rr = 0.0F, sum_rc = 0.0F, sum_cc = 0.0F;
    for (size_t part = 0; part < kParts; ++part) {
      sum_rr += rr[part];
      sum_rc += rc[part];
      sum_cc += cc[part];
    }
    const float error = (sum_rr - sum_rc * sum_rc / sum_cc) / (at * at);
    if (error < least) {
      least = error;
      best = (1.0F + sum_rc / sum_cc) / at;
    }
  }
  return best;
}

// Signed; 1 for a block of zeros.
bf16 scale_of(const Block& x, const Codes& codes) {
  const float largest = largest_of(x);
  if (largest == 0.0F) return to_bf16(1.0F);
  Block unit;
  for (size_t i = 0; i < x.size(); ++i) unit[i] = -(x[i] / largest);
  const float scale = -best_scale(unit, codes) * largest;
  return to_bf16(std::copysign(std::max(std::abs(scale), kSmallestScale), scale));
}

// Calls body(row, first column, one past the last, codes as floats) for every block.
template <class Body>
void for_each_block(View<const float, 2> w, View<bf16, 2> scales, const Codes& codes,
                    const Body& body) {
  for (int64_t n = 0; n < w.dim(0); ++n) {
    for (int64_t b = 0; b < scales.dim(1); ++b) {
      const int64_t first = b * kQuantBlock, last = std::min(w.dim(1), first + kQuantBlock);
      Block x{};
      for (int64_t k = first; k < last; ++k) x[static_cast<size_t>(k - first)] = w(n, k);
      scales(n, b) = scale_of(x, codes);
      const float scale = to_float(scales(n, b));
      for (float& value : x) value = code_of(value / scale, codes);
      body(n, first, last, x);
    }
  }
}

}  // namespace

void quantize_q8(View<int8_t, 2> codes, View<bf16, 2> scales, View<const float, 2> w) noexcept {
  for_each_block(w, scales, kCodes8, [&](int64_t n, int64_t first, int64_t last, const Block& c) {
    for (int64_t k = first; k < last; ++k) {
      codes(n, k) = static_cast<int8_t>(c[static_cast<size_t>(k - first)]);
    }
  });
}

void quantize_q4(View<uint8_t, 2> codes, View<bf16, 2> scales, View<const float, 2> w) noexcept {
  for_each_block(w, scales, kCodes4, [&](int64_t n, int64_t first, int64_t last, const Block& c) {
    for (int64_t k = first; k < last; k += 2) {  // blocks begin at even columns
      const auto i = static_cast<size_t>(k - first);
      const int low = static_cast<int>(c[i]) + 8;
      const int high = k + 1 < last ? static_cast<int>(c[i + 1]) + 8 : 8;
      codes(n, k / 2) = static_cast<uint8_t>(low | high << 4);
    }
  });
}

}  // namespace hadal::reference
