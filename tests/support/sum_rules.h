// support/sum_rules.h: ways in which a tensor core might add, for finding out which one a card follows.
// Computed with doubles and apart from kernels/reference/tensor_core_sum.cc, so that the two check each other.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hadal::test {

// Codes of both formats stand in 16 bits here.
struct CodeFormat {
  const char* name;
  int exponent_bits, mantissa_bits, bias;
  int pairs;  // of one instruction
  int code_bytes;
  int sign_bit() const { return exponent_bits + mantissa_bits; }
  int lowest() const { return 1 - bias; }  // exponent of subnormals
};
inline constexpr CodeFormat kE4M3Format{"E4M3", 4, 3, 7, 32, 1};
inline constexpr CodeFormat kBF16Format{"BF16", 8, 7, 127, 16, 2};

bool is_finite(const CodeFormat& format, uint16_t code);  // neither NaN nor infinity

enum class Cut { kTowardZero, kDown, kNearestEven };
enum class ProductExponent {
  kSumOfOperands,   // of the fields, subnormals with the lowest of the format
  kNormalOperands,  // of the operands' leading ones
  kNormalProduct,   // of the product's leading one
};
enum class AccumulatorJoins { kWithTheProducts, kAfterwards };
enum class ZeroExponent { kLowestOfF32, kNone, kLowestOfFormat };

struct SumRule {
  int aligned_bits;  // binary places that are kept when terms are aligned
  int result_bits;   // of the result's mantissa
  Cut aligned_cut = Cut::kTowardZero;
  Cut result_cut = Cut::kTowardZero;
  ProductExponent exponent = ProductExponent::kSumOfOperands;
  AccumulatorJoins accumulator = AccumulatorJoins::kWithTheProducts;
  ZeroExponent zero = ZeroExponent::kLowestOfF32;
  int parts = 1;             // an instruction's pairs are added in so many sums, one after another
  bool signed_zero = false;  // a negative sum that is cut to nothing is -0
};

// The rule of arXiv 2511.10909.
SumRule published_rule(const CodeFormat& format);

// Every rule of a small family around it.
std::vector<SumRule> rules_to_try(const CodeFormat& format);

std::string text_of(const SumRule& rule);

// kernels/reference/tensor_core_sum.h on the same operands.
float sum_by_emulator(const CodeFormat& format, std::span<const uint16_t> a,
                      std::span<const uint16_t> b, float accumulator);

// All pairs in instructions of format.pairs, one after another. REQUIRES finite operands.
float sum_by_rule(const CodeFormat& format, const SumRule& rule, std::span<const uint16_t> a,
                  std::span<const uint16_t> b, float accumulator);

}  // namespace hadal::test
