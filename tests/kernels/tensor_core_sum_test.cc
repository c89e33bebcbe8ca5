// The sums of tensor cores: cases worked out by hand, and agreement with a second implementation of the rule.
#include "hadal/kernels/reference/tensor_core_sum.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/sum_cases.h"

namespace hadal::test {
namespace {

using Pairs = std::vector<std::pair<float, float>>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class Code, class Encode>
float sum_of(const Pairs& pairs, float accumulator, const Encode& encode) {
  std::vector<Code> a, b;
  for (const auto& [left, right] : pairs) {
    a.push_back(encode(left));
    b.push_back(encode(right));
    EXPECT_EQ(to_float(a.back()), left);  // the case says what it means
    EXPECT_EQ(to_float(b.back()), right);
  }
  return reference::tensor_core_sum(std::span<const Code>(a), std::span<const Code>(b),
                                    accumulator);
}
float e4m3(const Pairs& pairs, float accumulator = 0.0F) {
  return sum_of<f8e4m3>(pairs, accumulator, [](float x) { return to_f8e4m3(x); });
}
float of_bf16(const Pairs& pairs, float accumulator = 0.0F) {
  return sum_of<bf16>(pairs, accumulator, [](float x) { return to_bf16(x); });
}
uint32_t bits(float value) { return std::bit_cast<uint32_t>(value); }

TEST(TensorCoreSum, TermsAreCutThirteenPlacesBehindTheLargest) {
  EXPECT_EQ(e4m3({{0x1p-6F, 0x1p-7F}}, 1.0F), 1.0F + 0x1p-13F);
  EXPECT_EQ(e4m3({{0x1p-7F, 0x1p-7F}}, 1.0F), 1.0F);
  // Each term by itself: together they would have been 2^-9.
  EXPECT_EQ(e4m3(Pairs(32, {0x1p-7F, 0x1p-7F}), 1.0F), 1.0F);
  EXPECT_EQ(e4m3(Pairs(32, {0x1p-6F, 0x1p-7F}), 1.0F), 1.0F + 0x1p-8F);
}

TEST(TensorCoreSum, CutsAreTowardZero) {
  EXPECT_EQ(e4m3({{-0x1p-7F, 0x1p-7F}}, 1.0F), 1.0F);  // down would be 1 - 2^-13
  EXPECT_EQ(e4m3({{-0x1p-7F, 0x1p-7F}}, -1.0F), -1.0F);
  EXPECT_EQ(e4m3({{1.5F, -0x1p-7F}, {0x1p-6F, 0x1p-6F}, {-1.0F, 1.0F}}),
            -1.0F + 0x1p-12F - 0x1.8p-7F);
  // 2^-13 + 2^-14 keeps its first bit with either sign.
  EXPECT_EQ(e4m3({{0x1p-6F, 0x1.8p-7F}}, 1.0F), 1.0F + 0x1p-13F);
  EXPECT_EQ(e4m3({{0x1p-6F, -0x1.8p-7F}}, 1.0F), 1.0F - 0x1p-13F);
}

TEST(TensorCoreSum, TheResultHasThirteenBitsOfMantissa) {
  EXPECT_EQ(e4m3({{1.0F, 1.0F}}, 1.0F + 0x1p-13F), 2.0F);
  EXPECT_EQ(e4m3({{1.0F, 1.0F}}, 1.0F + 0x1p-12F), 2.0F + 0x1p-12F);
  EXPECT_EQ(e4m3({{-1.0F, 1.0F}}, -1.0F - 0x1p-13F), -2.0F);
  EXPECT_EQ(e4m3({}, 1.0F + 0x1p-14F), 1.0F);  // the accumulator is cut as every term
  EXPECT_EQ(e4m3({}, -1.0F - 0x1p-13F - 0x1p-23F), -1.0F - 0x1p-13F);
}

TEST(TensorCoreSum, AProductIsNotNormalised) {
  // 1.5 * 1.5 has exponent 0, so 2^-13 stays.
  EXPECT_EQ(e4m3({{1.5F, 1.5F}, {-1.5F, 1.0F}, {0x1p-6F, 0x1p-7F}}), 0.75F + 0x1p-13F);
  // 2^-9 * 448 is 0.875 with exponent -6 + 8: 2^-12 goes, 2^-11 stays.
  EXPECT_EQ(e4m3({{0x1p-9F, 448.0F}, {0x1p-6F, 0x1p-6F}}), 0.875F);
  EXPECT_EQ(e4m3({{0x1p-9F, 448.0F}, {0x1p-5F, 0x1p-6F}}), 0.875F + 0x1p-11F);
}

TEST(TensorCoreSum, WhatCancelsTakesSmallTermsAlong) {
  EXPECT_EQ(e4m3({{448.0F, 448.0F}, {-448.0F, 448.0F}, {2.0F, 3.0F}}), 0.0F);
  EXPECT_EQ(e4m3({{448.0F, 448.0F}, {-448.0F, 448.0F}, {4.0F, 3.0F}}), 8.0F);
}

TEST(TensorCoreSum, NothingIsPlusZero) {
  EXPECT_EQ(bits(e4m3({})), 0U);
  EXPECT_EQ(bits(e4m3({}, -0.0F)), 0U);
  EXPECT_EQ(bits(e4m3({{-0.0F, 1.0F}}, -0.0F)), 0U);
  EXPECT_EQ(bits(e4m3({}, -0x1p-140F)), 0U);  // below 2^-126 by more than 13 places
  EXPECT_EQ(e4m3({}, -0x1p-139F), -0x1p-139F);
  // A zero has exponent -126, and so 0 * 256 has -118.
  EXPECT_EQ(e4m3({{0.0F, 256.0F}}, 0x1p-131F), 0x1p-131F);
  EXPECT_EQ(e4m3({{0.0F, 256.0F}}, 0x1p-132F), 0.0F);
}

TEST(TensorCoreSum, EveryCodeTimesOneIsItself) {
  for (int code = 0; code < 256; ++code) {
    const f8e4m3 a{static_cast<uint8_t>(code)}, one{0x38};
    const float sum = reference::tensor_core_sum({&a, 1}, {&one, 1}, 0.0F);
    if ((code & 0x7F) == 0x7F) {
      EXPECT_EQ(bits(sum), 0x7FFFFFFFU);
    } else {
      EXPECT_EQ(bits(sum), bits(to_float(a) + 0.0F)) << code;
    }
  }
}

TEST(TensorCoreSum, InfinitiesAndNaN) {
  EXPECT_EQ(e4m3({{1.0F, 1.0F}}, kInfinity), kInfinity);
  EXPECT_EQ(bits(e4m3({{1.0F, 1.0F}}, std::nanf(""))), 0x7FFFFFFFU);
  EXPECT_EQ(of_bf16({{kInfinity, -1.0F}}), -kInfinity);
  EXPECT_EQ(bits(of_bf16({{kInfinity, 0.0F}})), 0x7FFFFFFFU);
  EXPECT_EQ(bits(of_bf16({{kInfinity, 1.0F}}, -kInfinity)), 0x7FFFFFFFU);
  EXPECT_EQ(of_bf16({{0x1p100F, 0x1p28F}}), kInfinity);  // an overflow
  EXPECT_EQ(of_bf16({{-0x1p100F, 0x1p28F}}), -kInfinity);
  EXPECT_EQ(of_bf16({{0x1p100F, 0x1p28F}, {-0x1p100F, 0x1p27F}}), 0x1p127F);  // none
}

TEST(TensorCoreSum, BF16KeepsTwentyFivePlaces) {
  EXPECT_EQ(of_bf16(Pairs(4, {0x1p-12F, 0x1p-13F}), 1.0F), 1.0F + 0x1p-23F);
  EXPECT_EQ(of_bf16(Pairs(3, {0x1p-12F, 0x1p-13F}), 1.0F), 1.0F);
  EXPECT_EQ(of_bf16(Pairs(16, {0x1p-13F, 0x1p-13F}), 1.0F), 1.0F);
  EXPECT_EQ(of_bf16(Pairs(16, {-0x1p-13F, 0x1p-13F}), 1.0F), 1.0F);
  EXPECT_EQ(of_bf16({{-0x1p-12F, 0x1p-13F}}, 1.0F), 1.0F - 0x1p-24F);  // 24 bits below 1
  EXPECT_EQ(of_bf16({{0x1p-70F, 0x1p-70F}}), 0x1p-140F);               // subnormals are results
}

// The rule, written a second time with doubles.
TEST(TensorCoreSum, IsThePublishedRule) {
  for (const CodeFormat& format : {kE4M3Format, kBF16Format}) {
    for (size_t kind = 0; kind < sum_kinds().size(); ++kind) {
      for (const int64_t instructions : {1, 4}) {
        const SumTiles t = sum_tiles(format, kind, 8, instructions, 7);
        const auto pairs = static_cast<size_t>(t.pairs);
        for (int64_t n = 0; n < t.tiles * SumTiles::kCases; ++n) {
          const std::span a(t.row_a(n), pairs), b(t.row_b(n), pairs);
          const float start = t.accumulator[static_cast<size_t>(n)];
          const float want = sum_by_rule(format, published_rule(format), a, b, start);
          ASSERT_EQ(bits(sum_by_emulator(format, a, b, start)), bits(want))
              << format.name << ", " << sum_kinds()[kind].name << ", case " << n;
        }
      }
    }
  }
}

TEST(TensorCoreSum, ExactKindsAreExact) {
  const SumTiles t = sum_tiles(kE4M3Format, 0, 4, 4, 3);
  ASSERT_TRUE(sum_kinds()[0].exact);
  const auto pairs = static_cast<size_t>(t.pairs);
  for (int64_t n = 0; n < t.tiles * SumTiles::kCases; ++n) {
    double sum = t.accumulator[static_cast<size_t>(n)];
    for (size_t k = 0; k < pairs; ++k) {
      sum += double{to_float(f8e4m3{static_cast<uint8_t>(t.row_a(n)[k])})} *
             to_float(f8e4m3{static_cast<uint8_t>(t.row_b(n)[k])});
    }
    EXPECT_EQ(sum_by_emulator(kE4M3Format, {t.row_a(n), pairs}, {t.row_b(n), pairs},
                              t.accumulator[static_cast<size_t>(n)]),
              sum);
  }
}

// The largest error among sums of 4096 products, in units of their root mean square.
struct LongSums {
  double chained = 0, promoted = 0;
};
LongSums errors_of_long_sums(double mean) {
  constexpr int64_t kK = 4096;
  constexpr uint64_t kDots = 64;
  const std::vector<float> scale(static_cast<size_t>(kK / reference::kPromotedEvery), 1.0F);
  LongSums worst;
  double squares = 0;
  for (uint64_t dot = 0; dot < kDots; ++dot) {
    const auto codes = [&](uint64_t seed) {
      std::vector<f8e4m3> result;
      for (const float x : random_values(kK, seed, 64.0)) {
        result.push_back(to_f8e4m3(x + static_cast<float>(mean)));
      }
      return result;
    };
    const std::vector<f8e4m3> a = codes(2 * dot), b = codes(2 * dot + 1);
    double exact = 0;
    for (size_t k = 0; k < a.size(); ++k) exact += double{to_float(a[k])} * to_float(b[k]);
    squares += exact * exact / double{kDots};
    const double chained = reference::tensor_core_dot(std::span<const f8e4m3>(a), b, 0.0F);
    worst.chained = std::max(worst.chained, std::abs(chained - exact));
    const double promoted = reference::promoted_dot(a, b, scale);
    worst.promoted = std::max(worst.promoted, std::abs(promoted - exact));
  }
  return {worst.chained / std::sqrt(squares), worst.promoted / std::sqrt(squares)};
}

// Report section 3.3.2: at K = 4096 the sums of the tensor core are off by up to about 2 %, and adding in F32
// after every 128 products takes that away. How much depends on the operands: where all products have one
// sign, the running sum is large from early on, and what is cut off every product is a large part of it.
TEST(TensorCoreSum, PromotionTakesTheErrorOfLongSumsAway) {
  const LongSums centred = errors_of_long_sums(0.0);
  EXPECT_GT(centred.chained, 0.003);  // 0.0059
  EXPECT_LT(centred.chained, 0.02);
  EXPECT_LT(centred.promoted, 0.0005);
  const LongSums positive = errors_of_long_sums(128.0);
  EXPECT_GT(positive.chained, 0.03);  // 0.064
  EXPECT_LT(positive.chained, 0.15);
  EXPECT_LT(positive.promoted, 0.0005);
}

}  // namespace
}  // namespace hadal::test
