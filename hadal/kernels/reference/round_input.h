// kernels/reference/round_input.h: the input of a product as integer arithmetic sees it.
#pragma once

#include <vector>

#include "hadal/tensor/weight_view.h"

namespace hadal::reference {

// Rows for a product with a weight of this form: 8- and 4-bit weights are multiplied with an input
// that is rounded to 8 bits, with a scale for every 32 values along the row (kernels/cpu/turned_gemm.h);
// for others it stays as it is.
class RoundedInput {
 public:
  RoundedInput(View<const float, 2> x, WeightForm form);
  View<const float, 2> view() const { return view_; }

 private:
  std::vector<float> values_;  // empty when nothing is rounded
  View<const float, 2> view_;
};

}  // namespace hadal::reference
