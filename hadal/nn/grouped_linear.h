// nn/grouped_linear.h: one linear for every expert of a range, y_r = x_r W_e^T where row r belongs to
// expert e. Rows are grouped by expert: offsets[e] .. offsets[e+1] are those of the e-th of the range.
#pragma once

#include <span>
#include <vector>

#include "hadal/nn/linear.h"

namespace hadal {

struct GroupedLinear {
  std::vector<Param> weights;  // of the range's experts, [d_out, d_in] each
  Precision precision = Precision::kF32;

  int64_t d_out() const { return weights.front().shape()[0]; }
  int64_t d_in() const { return weights.front().shape()[1]; }

  LinearInput input(Context& ctx, const Tensor& x) const { return {ctx, x, precision}; }
  Tensor forward(Products& products, const LinearInput& x, std::span<const int64_t> offsets) const;
  // dx[r] = dy[r] W_e (+ dx[r])
  void backward_input(Products& products, Tensor& dx, const Tensor& dy,
                      std::span<const int64_t> offsets, bool accumulate = false) const;
  // dW_e += dy_e^T x_e
  void backward_weight(Products& products, const Tensor& dy, const LinearInput& x,
                       std::span<const int64_t> offsets);
};

}  // namespace hadal
