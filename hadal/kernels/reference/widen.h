// kernels/reference/widen.h: a stored weight as f32, for kernels that read nothing else.
#pragma once

#include <vector>

#include "hadal/tensor/weight_view.h"

namespace hadal::reference {

class Widened {
 public:
  explicit Widened(const WeightView& w);
  View<const float, 2> view() const { return view_; }

 private:
  std::vector<float> values_;  // empty when the weight is F32 already
  View<const float, 2> view_;
};

}  // namespace hadal::reference
