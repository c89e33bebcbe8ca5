// kernels/product.h: one of the products that a region computes together; ops/gemm.h has formulas and
// shapes.
#pragma once

#include "hadal/tensor/weight_view.h"

namespace hadal {

// out = in w^T + beta out (nt), or in w + beta out (nn). beta: 0 or 1. `in_is_bf16`: every value of
// `in` is one of BF16, so that nt with a BF16 weight may multiply BF16 by BF16.
struct Product {
  View<float, 2> out;
  View<const float, 2> in;
  WeightView w;
  float beta = 0.0F;
  bool in_is_bf16 = false;
};

// dw += dy^T x
struct WeightGradient {
  View<float, 2> dw;
  View<const float, 2> dy, x;
};

}  // namespace hadal
