// ops/embedding.h: rows of a table. ids [T] are < rows of w (ShapeError otherwise).
#pragma once

#include <span>

#include "hadal/tensor/context.h"
#include "hadal/tensor/weight_view.h"

namespace hadal {

void embedding_forward(Context& ctx, View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids);
// dw[ids[t]] += dx[t], t ascending: the same sum whatever the thread count.
void embedding_backward_weight(Context& ctx, View<float, 2> dw, View<const float, 2> dx,
                               std::span<const int32_t> ids);

}  // namespace hadal
