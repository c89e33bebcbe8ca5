// ops/copy.h: rows from one matrix into another. Both may be slices of columns; they must not
// overlap.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

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

// Stretches of the host's memory of equal length, which must not overlap: dealt out whole, since messages
// between ranks are made of many.
struct ByteCopy {
  std::span<std::byte> to;
  std::span<const std::byte> from;
};
void copy_bytes(Context& ctx, std::span<const ByteCopy> copies);

// A message and the stretches that lie in it one behind the other; ShapeError unless they fill it.
using Stretches = std::vector<std::span<std::byte>>;
int64_t total_bytes(const Stretches& stretches);
void pack(Context& ctx, Tensor& message, const Stretches& stretches);
void unpack(Context& ctx, const Stretches& stretches, const Tensor& message);

}  // namespace hadal
