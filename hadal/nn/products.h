// nn/products.h: products put off, so that those which do not need each other are one parallel region.
//
//   Products products{ctx};
//   Tensor gate = w_gate.forward(products, x), up = w_up.forward(products, x);
//   products.run();  // gate and up have their values from here on
#pragma once

#include <vector>

#include "hadal/nn/linear_input.h"
#include "hadal/ops/gemm.h"

namespace hadal {

struct Products {
  Context& ctx;
  std::vector<Product> forward = {};                  // y = x W^T
  std::vector<Product> input_gradients = {};          // dx = dy W
  std::vector<WeightGradient> weight_gradients = {};  // dW += dy^T x
  // Operands wait here until they were used, whoever else lets go of them. Rounded ones are widened
  // once for all products that read them.
  struct Operand {
    const void* rounded;  // KeptRows::id or LinearInput::id
    bool for_weight_gradient;
    Tensor values;
  };
  std::vector<Operand> operands = {};
  std::vector<LinearInput> sources = {};  // what the ids above stand for

  View<const float, 2> keep(const LinearInput& x);
  View<const float, 2> keep_for_weight_gradient(const LinearInput& x, Precision precision,
                                                std::span<const int64_t> offsets = {});
  // Computes what is listed, each list in one region, and forgets it.
  void run();
};

}  // namespace hadal
