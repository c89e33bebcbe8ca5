#include "hadal/ops/rope_yarn.h"

#include <algorithm>

#include "hadal/kernels/rope.h"

namespace hadal {
namespace {

void turn(Context& ctx, View<float, 3> x, const RopeTable& table,
          std::span<const int32_t> positions, int direction) {
  expect_shape(View<const int32_t, 1>(positions.data(), {static_cast<int64_t>(positions.size())}),
               {x.dim(0)}, "rope positions");
  if (x.dim(0) == 0) return;
  const View<const float, 2> cos = std::as_const(table.cos).mat();
  const View<const float, 2> sin = std::as_const(table.sin).mat();
  expect_shape(cos, {table.n_positions(), x.dim(2) / 2}, "rope table");
  const auto [first, last] = std::minmax_element(positions.begin(), positions.end());
  if (*first < 0 || *last >= table.n_positions()) {
    throw ShapeError(concat("rope positions: got ", *first, " to ", *last, ", want 0 to ",
                            table.n_positions() - 1));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::rope_turn<float>(x, cos, sin, positions, direction);
    case Device::kCpu:
      return cpu::rope_turn(ctx.pool, x, cos, sin, positions, direction);
    case Device::kCuda:
      return cuda::rope_turn(*ctx.stream, x, cos, sin, positions, direction);
  }
}

}  // namespace

void rope_forward(Context& ctx, View<float, 3> x, const RopeTable& table,
                  std::span<const int32_t> positions) {
  turn(ctx, x, table, positions, +1);
}

void rope_backward(Context& ctx, View<float, 3> dx, const RopeTable& table,
                   std::span<const int32_t> positions) {
  turn(ctx, dx, table, positions, -1);
}

}  // namespace hadal
