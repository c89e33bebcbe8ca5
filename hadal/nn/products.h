// nn/products.h: products put off, so that those which do not need each other are one parallel region.
//
//   Products products{ctx};
//   Tensor gate = w_gate.forward(products, x), up = w_up.forward(products, x);
//   products.run();  // gate and up have their values from here on
#pragma once

#include <vector>

#include "hadal/ops/gemm.h"

namespace hadal {

struct Products {
  Context& ctx;
  std::vector<Product> forward = {};                  // y = x W^T
  std::vector<Product> input_gradients = {};          // dx = dy W
  std::vector<WeightGradient> weight_gradients = {};  // dW += dy^T x
  std::vector<Tensor> operands = {};

  // An operand waits here until it was used, whoever else lets go of it.
  View<const float, 2> keep(const Tensor& x);
  // Computes what is listed, each list in one region, and forgets it.
  void run();
};

}  // namespace hadal
