#include "hadal/ops/permute.h"

#include "hadal/kernels/permute.h"

namespace hadal {

ExpertRows ExpertRows::from(View<const int32_t, 2> indices, int64_t n_experts) {
  const auto [T, K] = indices.shape();
  ExpertRows rows;
  rows.offsets.assign(static_cast<size_t>(n_experts) + 1, 0);
  rows.token_of.resize(static_cast<size_t>(T * K));
  rows.row_of.resize(static_cast<size_t>(T * K));
  for (int64_t t = 0; t < T; ++t) {
    for (const int32_t expert : indices.row(t)) ++rows.offsets.at(static_cast<size_t>(expert) + 1);
  }
  for (size_t e = 0; e < static_cast<size_t>(n_experts); ++e) {
    rows.offsets[e + 1] += rows.offsets[e];
  }
  std::vector<int64_t> next(rows.offsets.begin(), rows.offsets.end() - 1);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      const int64_t row = next[static_cast<size_t>(indices(t, k))]++;
      rows.token_of[static_cast<size_t>(row)] = static_cast<int32_t>(t);
      rows.row_of[static_cast<size_t>(t * K + k)] = static_cast<int32_t>(row);
    }
  }
  return rows;
}

void gather_rows(Context& ctx, View<float, 2> y, View<const float, 2> x, const ExpertRows& rows) {
  expect_shape(y, {rows.n_rows(), x.dim(1)}, "gather_rows y");
  switch (ctx.device) {
    case Device::kReference:
      return reference::gather_rows<float>(y, x, rows.token_of);
    case Device::kCpu:
      return cpu::gather_rows(ctx.pool, y, x, rows.token_of);
    case Device::kCuda:
      return cuda::gather_rows(y, x, rows.token_of);
  }
}

void gather_rows_backward(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                          const ExpertRows& rows) {
  expect_shape(dy, {rows.n_rows(), dx.dim(1)}, "gather_rows dy");
  switch (ctx.device) {
    case Device::kReference:
      return reference::gather_rows_backward<float>(dx, dy, rows.row_of);
    case Device::kCpu:
      return cpu::gather_rows_backward(ctx.pool, dx, dy, rows.row_of);
    case Device::kCuda:
      return cuda::gather_rows_backward(dx, dy, rows.row_of);
  }
}

void combine_rows(Context& ctx, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, const ExpertRows& rows) {
  expect_shape(x, {gates.size(), y.dim(1)}, "combine_rows x");
  expect_shape(gates, {y.dim(0), gates.dim(1)}, "combine_rows gates");
  switch (ctx.device) {
    case Device::kReference:
      return reference::combine_rows<float>(y, x, gates, rows.row_of);
    case Device::kCpu:
      return cpu::combine_rows(ctx.pool, y, x, gates, rows.row_of);
    case Device::kCuda:
      return cuda::combine_rows(y, x, gates, rows.row_of);
  }
}

void gate_backward(Context& ctx, View<float, 2> dgates, View<float, 2> dh, View<const float, 2> h,
                   View<const float, 2> gates, const ExpertRows& rows) {
  expect_shape(dgates, gates.shape(), "gate_backward dgates");
  expect_shape(h, {rows.n_rows(), h.dim(1)}, "gate_backward h");
  expect_shape(dh, h.shape(), "gate_backward dh");
  switch (ctx.device) {
    case Device::kReference:
      return reference::gate_backward<float>(dgates, dh, h, gates, rows.row_of);
    case Device::kCpu:
      return cpu::gate_backward(ctx.pool, dgates, dh, h, gates, rows.row_of);
    case Device::kCuda:
      return cuda::gate_backward(dgates, dh, h, gates, rows.row_of);
  }
}

void scale_rows_by_gate(Context& ctx, View<float, 2> x, View<const float, 2> gates,
                        const ExpertRows& rows) {
  expect_shape(x, {rows.n_rows(), x.dim(1)}, "scale_rows_by_gate x");
  switch (ctx.device) {
    case Device::kReference:
      return reference::scale_rows_by_gate<float>(x, gates, rows.row_of);
    case Device::kCpu:
      return cpu::scale_rows_by_gate(ctx.pool, x, gates, rows.row_of);
    case Device::kCuda:
      return cuda::scale_rows_by_gate(x, gates, rows.row_of);
  }
}

}  // namespace hadal
