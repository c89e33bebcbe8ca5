// kernels/reference/widen.h: the values of a stored weight, whatever its form.
#pragma once

#include <span>
#include <vector>

#include "hadal/tensor/weight_view.h"

namespace hadal::reference {

// Row n: its values, or code * scale. REQUIRES out of w.cols.
void widen_row(std::span<float> out, const WeightView& w, int64_t n);

// The whole weight as f32, for kernels that read nothing else.
class Widened {
 public:
  explicit Widened(const WeightView& w);
  View<const float, 2> view() const { return view_; }

 private:
  std::vector<float> values_;  // empty when the weight is F32 already
  View<const float, 2> view_;
};

}  // namespace hadal::reference
