// nn/grouped_linear.h: one linear for every expert of a range, y_r = x_r W_e^T where row r belongs to
// expert e. Rows are grouped by expert: offsets[e] .. offsets[e+1] are those of the e-th of the range.
#pragma once

#include <span>
#include <vector>

#include "hadal/nn/linear.h"

namespace hadal {

struct GroupedLinear {
  std::vector<Param> weights;  // of the range's experts, [d_out, d_in] each
  LinearPrecision precision;

  int64_t d_out() const { return weights.front().shape()[0]; }
  int64_t d_in() const { return weights.front().shape()[1]; }

  // Rows as forward reads them. A row is rounded without regard to the others: rows of tokens that were
  // rounded before they were dispatched are the same.
  LinearInput input(Context& ctx, const Tensor& x) const {
    return LinearInput(precision.rounded_input(ctx, x));
  }
  Tensor forward(Products& products, const LinearInput& x, std::span<const int64_t> offsets) const;
  // dy as the two products of the way back read it.
  LinearInput gradient(Context& ctx, const Tensor& dy, std::span<const int64_t> offsets) const;
  // dx[r] = dy[r] W_e (+ dx[r])
  void backward_input(Products& products, Tensor& dx, const LinearInput& dy,
                      std::span<const int64_t> offsets, bool accumulate = false) const;
  // dW_e += dy_e^T x_e
  void backward_weight(Products& products, const LinearInput& dy, const LinearInput& x,
                       std::span<const int64_t> offsets);

 private:
  // Whether BF16 is multiplied by BF16.
  bool of_bf16(const LinearInput& rows) const {
    return rows.is_bf16() && holds_bf16(weights.front().weight().form, precision.products);
  }
};

}  // namespace hadal
