#include "hadal/ops/column_groups.h"

#include "hadal/core/checked_math.h"

namespace hadal {
namespace {

// body(first row, past the last, its first band of scales, past its last) for every group with rows:
// the largest work in a region is one group's, so small groups are dealt out whole.
void for_each_group(Context& ctx, std::span<const int64_t> offsets,
                    FunctionRef<void(int64_t, int64_t, int64_t, int64_t)> body) {
  struct Group {
    int64_t begin, end, band, band_end;
  };
  std::vector<Group> groups;
  int64_t band = 0;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t n_bands = ceil_div(offsets[e + 1] - offsets[e], kFp8Tile);
    if (n_bands > 0) groups.push_back({offsets[e], offsets[e + 1], band, band + n_bands});
    band += n_bands;
  }
  const auto run = [&](const Group& g) { body(g.begin, g.end, g.band, g.band_end); };
  if (groups.size() == 1 || ctx.device == Device::kCuda) {
    for (const Group& group : groups) run(group);
    return;
  }
  ctx.pool.parallel_tasks(static_cast<int64_t>(groups.size()),
                          [&](int64_t task, int) { run(groups[static_cast<size_t>(task)]); });
}

int64_t count_bands(std::span<const int64_t> offsets) {
  int64_t bands = 0;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    bands += ceil_div(offsets[e + 1] - offsets[e], kFp8Tile);
  }
  return bands;
}

}  // namespace

ColumnGroups quantized_column_groups(Context& ctx, View<const float, 2> x,
                                     std::span<const int64_t> offsets, const TileOptions& options) {
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != x.dim(0)) {
    throw ShapeError(concat("column groups: offsets do not cover the ", x.dim(0), " rows"));
  }
  ColumnGroups result{ctx.empty({x.dim(0), x.dim(1)}, DType::kF8E4M3),
                      ctx.empty({count_bands(offsets), x.dim(1)}),
                      {offsets.begin(), offsets.end()}};
  const auto codes = result.codes.view<f8e4m3, 2>();
  const auto scales = result.scales.mat();
  for_each_group(ctx, offsets, [&](int64_t begin, int64_t end, int64_t band, int64_t band_end) {
    quantize_column_tiles(ctx, codes.rows(begin, end), scales.rows(band, band_end),
                          x.rows(begin, end), options);
  });
  return result;
}

void dequantize(Context& ctx, View<float, 2> y, const ColumnGroups& groups) {
  expect_shape(y, {groups.codes.dim(0), groups.codes.dim(1)}, "column groups y");
  for_each_group(ctx, groups.offsets,
                 [&](int64_t begin, int64_t end, int64_t band, int64_t band_end) {
                   dequantize_column_tiles(ctx, y.rows(begin, end),
                                           groups.codes.view<f8e4m3, 2>().rows(begin, end),
                                           groups.scales.mat().rows(band, band_end));
                 });
}

Tensor dequantized(Context& ctx, const ColumnGroups& groups) {
  Tensor y = ctx.empty(groups.codes.shape());
  dequantize(ctx, y.mat(), groups);
  return y;
}

}  // namespace hadal
