// ops/check_weight.h: the check that every op with a stored weight makes at its front door.
#pragma once

#include "hadal/tensor/weight_view.h"

namespace hadal {

// ShapeError unless w is stored in a format the products read: F32, BF16 or F16.
inline void check_weight(const WeightView& w, const char* what) {
  if (!is_plain(w.form)) {
    throw ShapeError(concat(what, ": stored as ", form_name(w.form), ", want F32, BF16 or F16"));
  }
}

}  // namespace hadal
