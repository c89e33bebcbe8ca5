#include "hadal/ops/permute.h"

#include "hadal/kernels/permute.h"

namespace hadal {

ExpertRows ExpertRows::from(View<const int32_t, 2> indices, ExpertRange experts) {
  const auto [T, K] = indices.shape();
  ExpertRows rows;
  rows.n_tokens = T;
  rows.top_k = K;
  rows.offsets.assign(static_cast<size_t>(experts.size()) + 1, 0);
  rows.row_of.assign(static_cast<size_t>(T * K), -1);
  const auto is_here = [&](int32_t e) { return e >= experts.first && e < experts.last; };
  for (int64_t t = 0; t < T; ++t) {
    for (const int32_t e : indices.row(t)) {
      if (is_here(e)) ++rows.offsets[static_cast<size_t>(e - experts.first) + 1];
    }
  }
  for (size_t e = 0; e + 1 < rows.offsets.size(); ++e) rows.offsets[e + 1] += rows.offsets[e];
  rows.token_of.resize(static_cast<size_t>(rows.offsets.back()));
  std::vector<int64_t> next(rows.offsets.begin(), rows.offsets.end() - 1);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      if (!is_here(indices(t, k))) continue;
      const int64_t row = next[static_cast<size_t>(indices(t, k) - experts.first)]++;
      rows.token_of[static_cast<size_t>(row)] = static_cast<int32_t>(t);
      rows.row_of[static_cast<size_t>(t * K + k)] = static_cast<int32_t>(row);
    }
  }
  return rows;
}

std::vector<int64_t> expert_load(View<const int32_t, 2> indices, int64_t n_experts) {
  std::vector<int64_t> load(static_cast<size_t>(n_experts), 0);
  for (int64_t t = 0; t < indices.dim(0); ++t) {
    for (const int32_t e : indices.row(t)) ++load.at(static_cast<size_t>(e));
  }
  return load;
}

void gather_rows(Context& ctx, View<float, 2> y, View<const float, 2> x, const ExpertRows& rows) {
  expect_shape(y, {rows.n_rows(), x.dim(1)}, "gather_rows y");
  switch (ctx.device) {
    case Device::kReference:
      return reference::gather_rows<float>(y, x, rows.token_of);
    case Device::kCpu:
      return cpu::gather_rows(ctx.pool, y, x, rows.token_of);
    case Device::kCuda:
      return cuda::gather_rows(*ctx.stream, y, x, rows.token_of);
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
      return cuda::gather_rows_backward(*ctx.stream, dx, dy, rows.row_of);
  }
}

void combine_rows(Context& ctx, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, const ExpertRows& rows) {
  expect_shape(x, {rows.n_rows(), y.dim(1)}, "combine_rows x");
  expect_shape(gates, {y.dim(0), rows.top_k}, "combine_rows gates");
  switch (ctx.device) {
    case Device::kReference:
      return reference::combine_rows<float>(y, x, gates, rows.row_of);
    case Device::kCpu:
      return cpu::combine_rows(ctx.pool, y, x, gates, rows.row_of);
    case Device::kCuda:
      return cuda::combine_rows(*ctx.stream, y, x, gates, rows.row_of);
  }
}

void choices_to_rows(Context& ctx, View<float, 1> rows, View<const float, 2> choices,
                     const ExpertRows& where) {
  expect_shape(rows, {where.n_rows()}, "choices_to_rows rows");
  expect_shape(choices, {where.n_tokens, where.top_k}, "choices_to_rows choices");
  switch (ctx.device) {
    case Device::kReference:
    case Device::kCpu:  // too few numbers to share out
      return reference::choices_to_rows<float>(rows, choices, where.row_of);
    case Device::kCuda:
      return cuda::choices_to_rows(*ctx.stream, rows, choices, where.row_of);
  }
}

void rows_to_choices(Context& ctx, View<float, 2> choices, View<const float, 1> rows,
                     const ExpertRows& where) {
  expect_shape(rows, {where.n_rows()}, "rows_to_choices rows");
  expect_shape(choices, {where.n_tokens, where.top_k}, "rows_to_choices choices");
  switch (ctx.device) {
    case Device::kReference:
    case Device::kCpu:
      return reference::rows_to_choices<float>(choices, rows, where.row_of);
    case Device::kCuda:
      return cuda::rows_to_choices(*ctx.stream, choices, rows, where.row_of);
  }
}

void gate_backward(Context& ctx, View<float, 1> dgates, View<float, 2> dh, View<const float, 2> h,
                   View<const float, 1> gates) {
  expect_shape(dgates, {h.dim(0)}, "gate_backward dgates");
  expect_shape(gates, {h.dim(0)}, "gate_backward gates");
  expect_shape(dh, h.shape(), "gate_backward dh");
  switch (ctx.device) {
    case Device::kReference:
      return reference::gate_backward<float>(dgates, dh, h, gates);
    case Device::kCpu:
      return cpu::gate_backward(ctx.pool, dgates, dh, h, gates);
    case Device::kCuda:
      return cuda::gate_backward(*ctx.stream, dgates, dh, h, gates);
  }
}

void scale_rows(Context& ctx, View<float, 2> x, View<const float, 1> factors) {
  expect_shape(factors, {x.dim(0)}, "scale_rows factors");
  switch (ctx.device) {
    case Device::kReference:
      return reference::scale_rows<float>(x, factors);
    case Device::kCpu:
      return cpu::scale_rows(ctx.pool, x, factors);
    case Device::kCuda:
      return cuda::scale_rows(*ctx.stream, x, factors);
  }
}

}  // namespace hadal
