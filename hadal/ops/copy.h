// ops/copy.h: rows from one matrix into another. Both may be slices of columns; they must not
// overlap.
#pragma once

#include <span>

#include "hadal/kernels/row_range.h"
#include "hadal/tensor/context.h"

namespace hadal {

// to[t] = from[t]    both [T,D]
void copy_rows(Context& ctx, View<float, 2> to, View<const float, 2> from);

// For every range, in the order given; rows of `to` in no range stay as they are. Ranges within
// to [N,D] and from [M,D], ShapeError otherwise.
//   to[range.to + i] = from[range.from + i]        i < range.n
void copy_row_ranges(Context& ctx, View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges);
//   to[range.to + i] += from[range.from + i]
void add_row_ranges(Context& ctx, View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges);

}  // namespace hadal
