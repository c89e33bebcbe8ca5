// ops/adamw_update.h: one AdamW step of one tensor (arXiv:1711.05101), f32 arithmetic.
//
//   p *= 1 - lr * weight_decay
//   m = beta1 m + (1-beta1) g     v = beta2 v + (1-beta2) g^2        g = grad_scale * grad
//   p -= lr * (m / bias1) / (sqrt(v / bias2) + eps)                  bias_i = 1 - beta_i^step
#pragma once

#include <span>

#include "hadal/kernels/adamw_step.h"
#include "hadal/tensor/context.h"

namespace hadal {

// value, m, v, grad have the same number of elements; m and v are both F32 or both BF16 (rounded to
// nearest even).
void adamw_update(Context& ctx, std::span<float> value, Tensor& m, Tensor& v,
                  std::span<const float> grad, const AdamwStep& step);

}  // namespace hadal
