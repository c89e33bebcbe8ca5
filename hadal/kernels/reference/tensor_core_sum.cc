#include "hadal/kernels/reference/tensor_core_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace hadal::reference {
namespace {

constexpr int kExponentOfZero = -126;  // F32's lowest
constexpr int kF32Fraction = 23;

struct E4M3 {
  static constexpr int kFraction = 3, kLowest = -6, kBias = 7;
  static constexpr int kAlignedBits = 13, kResultBits = 13;
  static constexpr size_t kPairs = static_cast<size_t>(kE4M3PerInstruction);
  static bool finite(f8e4m3 value) { return (value.bits & 0x7F) != 0x7F; }
  static bool negative(f8e4m3 value) { return (value.bits & 0x80) != 0; }
};

struct BF16 {
  static constexpr int kFraction = 7, kLowest = -126, kBias = 127;
  static constexpr int kAlignedBits = 25, kResultBits = 23;
  static constexpr size_t kPairs = static_cast<size_t>(kBF16PerInstruction);
  static bool finite(bf16 value) { return (value.bits & 0x7F80) != 0x7F80; }
  static bool negative(bf16 value) { return (value.bits & 0x8000) != 0; }
};

// significand * 2^(exponent - binary places of its format)
struct Term {
  int64_t significand;
  int exponent;
};

// A finite number of `fraction` bits below its leading one, which subnormals lack.
Term split(uint32_t magnitude, bool negative, int fraction, int bias, int lowest) {
  const int64_t below = magnitude & ((1U << fraction) - 1);
  const int field = static_cast<int>(magnitude >> fraction);
  if (magnitude == 0) return {0, kExponentOfZero};
  const int64_t significand = field == 0 ? below : below | int64_t{1} << fraction;
  return {negative ? -significand : significand, field == 0 ? lowest : field - bias};
}

template <class Format, class Code>
Term split(Code code) {
  const uint32_t sign = Format::negative(code) ? 1U << (8 * sizeof(code.bits) - 1) : 0U;
  return split(code.bits - sign, sign != 0, Format::kFraction, Format::kBias, Format::kLowest);
}

Term split(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return split(bits & 0x7FFFFFFF, bits >> 31 != 0, kF32Fraction, 127, -126);
}

// significand * 2^places, cut toward zero.
int64_t shifted(int64_t significand, int places) {
  if (places >= 0) return significand * (int64_t{1} << places);
  if (places <= -63) return 0;
  const int64_t magnitude = std::abs(significand) >> -places;
  return significand < 0 ? -magnitude : magnitude;
}

// sum * 2^exponent as an F32 of `result_bits` of mantissa, cut toward zero.
float cut_to_f32(int64_t sum, int exponent, int result_bits) {
  if (sum == 0) return 0.0F;
  const uint32_t sign = sum < 0 ? 0x80000000U : 0U;
  const int64_t magnitude = std::abs(sum);
  const int leading =
      static_cast<int>(std::bit_width(static_cast<uint64_t>(magnitude))) - 1 + exponent;
  if (leading > 127)
    return sign ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  const int unit = std::max(leading, -126) - result_bits;  // exponent of the last bit that is kept
  const auto kept = static_cast<uint32_t>(shifted(magnitude, exponent - unit));
  if (kept == 0) return 0.0F;
  // The leading one of a normal number adds 1 to the exponent's field.
  const uint32_t field = leading < -126 ? 0U : static_cast<uint32_t>(leading + 126);
  return std::bit_cast<float>(sign + (field << kF32Fraction) +
                              (kept << (kF32Fraction - result_bits)));
}

// NaN or an infinity.
template <class Code>
float not_finite_sum(std::span<const Code> a, std::span<const Code> b, float accumulator) {
  double sum = accumulator;
  for (size_t i = 0; i < a.size(); ++i) sum += double{to_float(a[i])} * double{to_float(b[i])};
  return std::isnan(sum) ? std::bit_cast<float>(0x7FFFFFFFU) : static_cast<float>(sum);
}

template <class Format, class Code>
float one_instruction(std::span<const Code> a, std::span<const Code> b, float accumulator) {
  constexpr int kProductFraction = 2 * Format::kFraction;
  std::array<Term, Format::kPairs> products;
  const Term start = split(accumulator);
  int largest = start.exponent;
  bool finite = std::isfinite(accumulator);
  for (size_t i = 0; i < a.size(); ++i) {
    finite = finite && Format::finite(a[i]) && Format::finite(b[i]);
    const Term left = split<Format>(a[i]), right = split<Format>(b[i]);
    products[i] = {left.significand * right.significand, left.exponent + right.exponent};
    largest = std::max(largest, products[i].exponent);
  }
  if (!finite) return not_finite_sum(a, b, accumulator);
  int64_t sum =
      shifted(start.significand, Format::kAlignedBits - kF32Fraction + start.exponent - largest);
  for (size_t i = 0; i < a.size(); ++i) {
    const Term product = products[i];
    sum += shifted(product.significand,
                   Format::kAlignedBits - kProductFraction + product.exponent - largest);
  }
  return cut_to_f32(sum, largest - Format::kAlignedBits, Format::kResultBits);
}

template <class Format, class Code>
float chain(std::span<const Code> a, std::span<const Code> b, float accumulator) {
  for (size_t k = 0; k < a.size(); k += Format::kPairs) {
    const size_t pairs = std::min(Format::kPairs, a.size() - k);
    accumulator =
        one_instruction<Format, Code>(a.subspan(k, pairs), b.subspan(k, pairs), accumulator);
  }
  return accumulator;
}

}  // namespace

float tensor_core_sum(std::span<const f8e4m3> a, std::span<const f8e4m3> b,
                      float accumulator) noexcept {
  return one_instruction<E4M3>(a, b, accumulator);
}

float tensor_core_sum(std::span<const bf16> a, std::span<const bf16> b,
                      float accumulator) noexcept {
  return one_instruction<BF16>(a, b, accumulator);
}

float tensor_core_dot(std::span<const f8e4m3> a, std::span<const f8e4m3> b,
                      float accumulator) noexcept {
  return chain<E4M3>(a, b, accumulator);
}

float tensor_core_dot(std::span<const bf16> a, std::span<const bf16> b,
                      float accumulator) noexcept {
  return chain<BF16>(a, b, accumulator);
}

float promoted_dot(std::span<const f8e4m3> a, std::span<const f8e4m3> b,
                   std::span<const float> scale) noexcept {
  constexpr auto kGroup = static_cast<size_t>(kPromotedEvery);
  float total = 0;
  for (size_t group = 0; group < scale.size(); ++group) {
    const size_t begin = group * kGroup, n = std::min(kGroup, a.size() - begin);
    const float sum = tensor_core_dot(a.subspan(begin, n), b.subspan(begin, n), 0.0F);
    total = std::fma(sum, scale[group], total);
  }
  return total;
}

}  // namespace hadal::reference
