// kernels/reference/tensor_core_sum.h: the sums of Hopper's tensor cores (wgmma, F32 accumulator), bit for
// bit, on a CPU. For the error that an FP8 product has on the card, and for tests of kernels there.
//
// One instruction adds the products of 32 pairs of E4M3 codes (16 pairs of BF16) to an accumulator:
//   1. A product is exact; its exponent is the sum of its operands' exponents. Nothing is normalised: a
//      subnormal operand has its format's lowest exponent, a zero has -126.
//   2. The accumulator is one more term. All are shifted to the largest exponent and cut, toward zero, behind
//      `aligned_bits` binary places.
//   3. What is left is added exactly, and the sum is cut, toward zero, to `result_bits` of mantissa.
//             aligned_bits   result_bits
//   E4M3          13             13         so a sum of 4096 products is a few per cent off (report 3.3.2)
//   BF16          25             23
// An overflow is infinity, a NaN among the operands (or infinity - infinity, 0 * infinity) the NaN 0x7FFFFFFF,
// a sum that is cut to nothing +0.
//
// Source of the rule: arXiv 2511.10909 (the authors compared it with cards); FP8's 14 bits and the promotion:
// arXiv 2412.19437 section 3.3.2. tests/cuda/tensor_core_sum_test.cc asks a card. Not yet run on a card.
// Where the sources are silent and only the card can tell: the exponent that a zero has, and the sign of a
// sum that is cut to zero.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/tensor/dtype.h"

namespace hadal::reference {

inline constexpr int64_t kE4M3PerInstruction = 32;
inline constexpr int64_t kBF16PerInstruction = 16;
inline constexpr int64_t kPromotedEvery = 128;  // products between two promotions: 4 instructions

// What one instruction makes of the accumulator. Fewer pairs count as padded with zeros.
// REQUIRES a.size() == b.size(), at most as many as an instruction has.
float tensor_core_sum(std::span<const f8e4m3> a, std::span<const f8e4m3> b,
                      float accumulator) noexcept;
float tensor_core_sum(std::span<const bf16> a, std::span<const bf16> b, float accumulator) noexcept;

// Instruction after instruction over all of K, without promotion. REQUIRES a.size() == b.size().
float tensor_core_dot(std::span<const f8e4m3> a, std::span<const f8e4m3> b,
                      float accumulator) noexcept;
float tensor_core_dot(std::span<const bf16> a, std::span<const bf16> b, float accumulator) noexcept;

// total = fma(sum of the group, scale of the group, total), every group of 128 from zero: the sums of
// ops/gemm_fp8.h as the card computes them. `scale` holds s_a * s_b of each group.
// REQUIRES scale.size() == ceil(a.size() / 128).
float promoted_dot(std::span<const f8e4m3> a, std::span<const f8e4m3> b,
                   std::span<const float> scale) noexcept;

}  // namespace hadal::reference
