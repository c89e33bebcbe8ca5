// ops/check_weight.h: the check that every op with a stored weight makes at its front door.
#pragma once

#include "hadal/tensor/weight_view.h"

namespace hadal {

// ShapeError unless the products read w: values, or codes whose scales belong to blocks of at least
// 32 columns, whole multiples of it. Then a vector meets two blocks at most.
inline void check_weight(const WeightView& w, const char* what) {
  if (is_plain(w.form)) return;
  const Tiling& tiling = w.scales.tiling;
  if (w.scales.data == nullptr || tiling.rows < 1 || tiling.cols < 1 || tiling.cols % 32 != 0) {
    throw ShapeError(concat(what, ": ", form_name(w.form), " with scales of ", tiling.rows, "x",
                            tiling.cols, " blocks, want columns in multiples of 32"));
  }
}

}  // namespace hadal
