// kernels/product.h: one of the products that a region computes together; ops/gemm.h has formulas and
// shapes.
#pragma once

#include "hadal/tensor/weight_view.h"

namespace hadal {

// out = in w^T + beta out (nt), or in w + beta out (nn). beta: 0 or 1. `is_bf16`: every value of `in` and
// of w is one of BF16; then BF16 is multiplied by BF16.
struct Product {
  View<float, 2> out;
  View<const float, 2> in;
  WeightView w;
  float beta = 0.0F;
  bool is_bf16 = false;
};

// dw += dy^T x. `is_bf16`: every value of dy and x is one of BF16.
struct WeightGradient {
  View<float, 2> dw;
  View<const float, 2> dy, x;
  bool is_bf16 = false;
};

}  // namespace hadal
