#include "hadal/ops/embedding.h"

#include <algorithm>

#include "hadal/kernels/embedding.h"
#include "hadal/ops/check_weight.h"

namespace hadal {
namespace {

void expect_ids(std::span<const int32_t> ids, int64_t n_tokens, int64_t vocab) {
  if (static_cast<int64_t>(ids.size()) != n_tokens) {
    throw ShapeError(concat("embedding ids: got [", ids.size(), "], want [", n_tokens, "]"));
  }
  if (ids.empty()) return;
  const auto [first, last] = std::minmax_element(ids.begin(), ids.end());
  if (*first < 0 || *last >= vocab) {
    throw ShapeError(concat("embedding ids: got token id ", *first < 0 ? *first : *last,
                            ", want 0 to ", vocab - 1));
  }
}

}  // namespace

void embedding_forward(Context& ctx, View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids) {
  expect_shape(x, {x.dim(0), w.cols}, "embedding x");
  check_weight(w, "embedding w");
  expect_ids(ids, x.dim(0), w.rows);
  switch (ctx.device) {
    case Device::kReference:
      return reference::embedding_forward(x, w, ids);
    case Device::kCpu:
      return cpu::embedding_forward(ctx.pool, x, w, ids);
    case Device::kCuda:
      return cuda::embedding_forward(*ctx.stream, x, w, ids);
  }
}

void embedding_backward_weight(Context& ctx, View<float, 2> dw, View<const float, 2> dx,
                               std::span<const int32_t> ids) {
  expect_shape(dx, {dx.dim(0), dw.dim(1)}, "embedding dx");
  expect_ids(ids, dx.dim(0), dw.dim(0));
  switch (ctx.device) {
    case Device::kReference:
      return reference::embedding_backward_weight<float>(dw, dx, ids);
    case Device::kCpu:
      return cpu::embedding_backward_weight(ctx.pool, dw, dx, ids);
    case Device::kCuda:
      return cuda::embedding_backward_weight(*ctx.stream, dw, dx, ids);
  }
}

}  // namespace hadal
