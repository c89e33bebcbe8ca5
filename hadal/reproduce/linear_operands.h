// reproduce/linear_operands.h: what the linears of a trained model multiply: activations and their
// gradients, as one held-out batch makes them.
#pragma once

#include <string>
#include <vector>

#include "hadal/reproduce/training_shape.h"

namespace hadal {

struct LinearOperands {
  std::string name;
  Tensor x, dy, weight;  // [T, d_in], [T, d_out], [d_out, d_in] F32
};

// Of attention's projections, the dense layers and the shared experts. T = tokens of the first held-out
// batch, at most 2048.
std::vector<LinearOperands> linear_operands(Context& ctx, const TrainConfig& run);

Tensor input_gradient(Context& ctx, const Tensor& dy, const Tensor& weight);  // dx = dy W, in F32
Tensor weight_gradient(Context& ctx, const Tensor& dy, const Tensor& x);      // dW = dy^T x

}  // namespace hadal
