// kernels/reference/bf16_sum.h: the sums of products of BF16 with BF16, value by value: the rule that
// kernels/cpu/bf16/bf16_gemm.h states, bit for bit what its kernels compute.
#pragma once

#include <span>

namespace hadal::reference {

// start + sum_k a[k] b[k]. Every value is one of BF16. REQUIRES a.size() == b.size().
float bf16_dot(std::span<const float> a, std::span<const float> b, float start) noexcept;

}  // namespace hadal::reference
