// ops/column_groups.h: E4M3 tiles of 128 tokens x 1 channel over rows in groups, as the weight
// gradients of experts need them: rows offsets[e] .. offsets[e+1] are the tokens of expert e.
//
// A tile never spans two groups, and the last one of a group counts as padded with zeros: the
// numbers are those of groups padded to whole tiles with rows of zeros, which add nothing to
// dy^T x. One group {0, R} is ops/quantize.h's quantize_column_tiles.
#pragma once

#include <span>
#include <vector>

#include "hadal/ops/quantize.h"

namespace hadal {

// codes [R,C], scales [bands, C] where every group has ceil(its rows / 128) bands of its own.
struct ColumnGroups {
  Tensor codes, scales;
  std::vector<int64_t> offsets;

  bool has_data() const { return codes.has_data(); }
  ColumnGroups share() const { return {codes.share(), scales.share(), offsets}; }
  int64_t bytes() const { return codes.bytes() + scales.bytes(); }
};

// REQUIRES ascending offsets from 0 to the rows of x.
ColumnGroups quantized_column_groups(Context& ctx, View<const float, 2> x,
                                     std::span<const int64_t> offsets, const TileOptions& options);
// y [R,C] = code * scale
void dequantize(Context& ctx, View<float, 2> y, const ColumnGroups& groups);
Tensor dequantized(Context& ctx, const ColumnGroups& groups);

}  // namespace hadal
