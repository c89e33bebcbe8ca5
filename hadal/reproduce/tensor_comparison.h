// reproduce/tensor_comparison.h: the tensors of one computation against those of the same in FP32.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/tensor/tensor.h"

namespace hadal {

// Of all elements of a tensor, of every micro-batch.
struct TensorFigures {
  std::string name, kind;  // kind: weight, activation, loss, gradient
  double largest = 0.0, largest_fp32 = 0.0;
  int64_t not_finite = 0, not_finite_fp32 = 0, elements = 0;
  double square_of_difference = 0.0, square_fp32 = 0.0;

  // |x - y| / |y| over the elements that are finite in both, y FP32's.
  double error() const;
  void add(const Tensor& value, const Tensor& fp32);  // both F32, on the host
};
Json figures_json(const TensorFigures& figures);

// The first tensor that explains a bad step, in the order given: one that is not finite, or whose error is
// `departs_at` or more and four times the median of its kind's. A token that takes another expert is enough for a
// few experts' gradients to be far from FP32's in every step; that is no departure.
struct Finding {
  const TensorFigures* first = nullptr;  // none: all is well
  std::string verdict;                   // one line
};
Finding judge(const std::vector<TensorFigures>& tensors, const std::string& precision,
              double departs_at);

}  // namespace hadal
