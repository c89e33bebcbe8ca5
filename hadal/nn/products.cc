#include "hadal/nn/products.h"

namespace hadal {

View<const float, 2> Products::keep(const Tensor& x) {
  operands.push_back(x.share());
  return x.mat();
}

void Products::run() {
  if (!forward.empty()) gemm_nt(ctx, std::exchange(forward, {}));
  if (!input_gradients.empty()) gemm_nn(ctx, std::exchange(input_gradients, {}));
  if (!weight_gradients.empty()) gemm_tn(ctx, std::exchange(weight_gradients, {}));
  operands.clear();
}

}  // namespace hadal
