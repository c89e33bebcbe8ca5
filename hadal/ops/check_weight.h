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

// ShapeError unless integer arithmetic can multiply w: 8- and 4-bit codes with a scale for every 32
// values of a row, from the beginning of a block on.
inline void check_int8_blocks(const WeightView& w, const char* what) {
  if (w.form != WeightForm::kQ8 && w.form != WeightForm::kQ4) return;
  const ScaleView& scales = w.scales;
  if (scales.tiling != kQuantBlocks || scales.col0 % kQuantBlock != 0) {
    throw ShapeError(concat(what, ": ", form_name(w.form), " with scales of ", scales.tiling.rows,
                            "x", scales.tiling.cols, " blocks, from column ", scales.col0,
                            " on, want 1x", kQuantBlock, ", from the beginning of a block on"));
  }
}

}  // namespace hadal
