#include "tests/support/sum_rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/kernels/reference/tensor_core_sum.h"

namespace hadal::test {
namespace {

constexpr int kLowestOfF32 = -126;
constexpr int kNoExponent = -4000;

struct Number {
  double significand;  // times 2^exponent
  int exponent;
};

Number normal(Number n) {
  int shift = 0;
  if (n.significand == 0.0) return n;
  n.significand = 2.0 * std::frexp(n.significand, &shift);
  n.exponent += shift - 1;
  return n;
}

Number decoded(const CodeFormat& format, const SumRule& rule, uint16_t code) {
  const int magnitude = code & ((1 << format.sign_bit()) - 1);
  const int field = magnitude >> format.mantissa_bits;
  const int mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
  const double sign = code >> format.sign_bit() & 1 ? -1.0 : 1.0;
  if (magnitude == 0) {
    switch (rule.zero) {
      case ZeroExponent::kLowestOfF32:
        return {0.0, kLowestOfF32};
      case ZeroExponent::kNone:
        return {0.0, kNoExponent};
      case ZeroExponent::kLowestOfFormat:
        return {0.0, format.lowest()};
    }
  }
  const double fraction = std::ldexp(mantissa, -format.mantissa_bits);
  if (field == 0) return {sign * fraction, format.lowest()};
  return {sign * (1.0 + fraction), field - format.bias};
}

Number product(const Number& a, const Number& b, ProductExponent how) {
  const Number plain{a.significand * b.significand, a.exponent + b.exponent};
  if (how == ProductExponent::kNormalProduct) return normal(plain);
  if (how == ProductExponent::kSumOfOperands || plain.significand == 0.0) return plain;
  return {normal(a).significand * normal(b).significand, normal(a).exponent + normal(b).exponent};
}

Number of_f32(float value, const SumRule& rule) {
  if (value == 0.0F) return {0.0, rule.zero == ZeroExponent::kNone ? kNoExponent : kLowestOfF32};
  Number n = normal({double{value}, 0});
  if (n.exponent < kLowestOfF32) n = {std::ldexp(double{value}, -kLowestOfF32), kLowestOfF32};
  return n;
}

double cut(double value, Cut how) {
  switch (how) {
    case Cut::kTowardZero:
      return std::trunc(value);
    case Cut::kDown:
      return std::floor(value);
    case Cut::kNearestEven:
      return std::nearbyint(value);
  }
  return value;
}

float to_result(double sum, const SumRule& rule) {
  if (sum == 0.0) return 0.0F;
  const Number n = normal({sum, 0});
  const int unit = std::max(n.exponent, kLowestOfF32) - rule.result_bits;
  const double kept = std::ldexp(cut(std::ldexp(sum, -unit), rule.result_cut), unit);
  if (kept == 0.0) return rule.signed_zero && sum < 0 ? -0.0F : 0.0F;
  if (std::abs(kept) >= 0x1.0p128) {
    return std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(sum));
  }
  return static_cast<float>(kept);
}

// Terms aligned to the largest exponent, cut, added.
float aligned_sum(std::span<const Number> terms, const SumRule& rule) {
  int largest = kNoExponent;
  for (const Number& term : terms) largest = std::max(largest, term.exponent);
  if (largest == kNoExponent) return 0.0F;
  double sum = 0;
  for (const Number& term : terms) {
    const int places = std::max(rule.aligned_bits + term.exponent - largest, -500);
    sum += cut(std::ldexp(term.significand, places), rule.aligned_cut);
  }
  return to_result(std::ldexp(sum, largest - rule.aligned_bits), rule);
}

template <class Code>
std::vector<Code> codes_of(std::span<const uint16_t> codes) {
  std::vector<Code> result;
  result.reserve(codes.size());
  for (const uint16_t code : codes) result.push_back({static_cast<decltype(Code::bits)>(code)});
  return result;
}

}  // namespace

bool is_finite(const CodeFormat& format, uint16_t code) {
  const int magnitude = code & ((1 << format.sign_bit()) - 1);
  const int all_ones = (1 << format.exponent_bits) - 1;
  if (format.code_bytes == 1) return magnitude != 0x7F;
  return magnitude >> format.mantissa_bits != all_ones;
}

SumRule published_rule(const CodeFormat& format) {
  return format.code_bytes == 1 ? SumRule{13, 13} : SumRule{25, 23};
}

std::vector<SumRule> rules_to_try(const CodeFormat& format) {
  const int few = format.code_bytes == 1 ? 12 : 22, many = format.code_bytes == 1 ? 25 : 27;
  std::vector<SumRule> rules;
  for (int bits = few; bits <= many; ++bits) {
    std::vector<int> results{23};
    if (bits < 23) results.push_back(bits);
    if (bits != 13 && format.code_bytes == 1) results.push_back(13);
    for (const int result : results) {
      for (const Cut aligned : {Cut::kTowardZero, Cut::kDown, Cut::kNearestEven}) {
        for (const Cut last : {Cut::kTowardZero, Cut::kNearestEven}) {
          for (const auto exponent :
               {ProductExponent::kSumOfOperands, ProductExponent::kNormalOperands,
                ProductExponent::kNormalProduct}) {
            for (const auto joins :
                 {AccumulatorJoins::kWithTheProducts, AccumulatorJoins::kAfterwards}) {
              for (const auto zero : {ZeroExponent::kLowestOfF32, ZeroExponent::kNone,
                                      ZeroExponent::kLowestOfFormat}) {
                for (const int parts : {1, 2, 4}) {
                  rules.push_back(
                      {bits, result, aligned, last, exponent, joins, zero, parts, false});
                }
              }
            }
          }
        }
      }
    }
  }
  const SumRule published = published_rule(format);
  for (const auto zero :
       {ZeroExponent::kLowestOfF32, ZeroExponent::kNone, ZeroExponent::kLowestOfFormat}) {
    SumRule rule = published;
    rule.zero = zero;
    rule.signed_zero = true;
    rules.push_back(rule);
  }
  return rules;
}

std::string text_of(const SumRule& rule) {
  const auto cut_text = [](Cut how) {
    return how == Cut::kTowardZero ? " toward zero" : how == Cut::kDown ? " down" : " nearest";
  };
  const char* exponents[] = {"sum of exponents", "normal operands", "normal product"};
  const char* zeros[] = {"zero -126", "zero none", "zero lowest of format"};
  return concat("aligned ", rule.aligned_bits, cut_text(rule.aligned_cut), ", result ",
                rule.result_bits, cut_text(rule.result_cut), ", ",
                exponents[static_cast<int>(rule.exponent)], ", accumulator ",
                rule.accumulator == AccumulatorJoins::kWithTheProducts ? "joins" : "after", ", ",
                zeros[static_cast<int>(rule.zero)], ", parts ", rule.parts,
                rule.signed_zero ? ", signed zero" : "");
}

float sum_by_emulator(const CodeFormat& format, std::span<const uint16_t> a,
                      std::span<const uint16_t> b, float accumulator) {
  if (format.code_bytes == 1) {
    const auto left = codes_of<f8e4m3>(a), right = codes_of<f8e4m3>(b);
    return reference::tensor_core_dot(std::span<const f8e4m3>(left), right, accumulator);
  }
  const auto left = codes_of<bf16>(a), right = codes_of<bf16>(b);
  return reference::tensor_core_dot(std::span<const bf16>(left), right, accumulator);
}

float sum_by_rule(const CodeFormat& format, const SumRule& rule, std::span<const uint16_t> a,
                  std::span<const uint16_t> b, float accumulator) {
  const auto part = static_cast<size_t>(format.pairs / rule.parts);
  std::array<Number, 33> terms;
  for (size_t k = 0; k < a.size(); k += part) {
    const size_t pairs = std::min(part, a.size() - k);
    for (size_t i = 0; i < pairs; ++i) {
      terms[i] =
          product(decoded(format, rule, a[k + i]), decoded(format, rule, b[k + i]), rule.exponent);
    }
    if (rule.accumulator == AccumulatorJoins::kWithTheProducts) {
      terms[pairs] = of_f32(accumulator, rule);
      accumulator = aligned_sum({terms.data(), pairs + 1}, rule);
    } else {
      const float sum = aligned_sum({terms.data(), pairs}, rule);
      accumulator = to_result(double{sum} + double{accumulator}, rule);
    }
  }
  return accumulator;
}

}  // namespace hadal::test
