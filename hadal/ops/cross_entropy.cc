#include "hadal/ops/cross_entropy.h"

#include <algorithm>

#include "hadal/kernels/cross_entropy.h"

namespace hadal {
namespace {

void expect_targets(std::span<const int32_t> targets, int64_t n_tokens, int64_t vocab) {
  if (static_cast<int64_t>(targets.size()) != n_tokens) {
    throw ShapeError(
        concat("cross_entropy targets: got [", targets.size(), "], want [", n_tokens, "]"));
  }
  if (targets.empty()) return;
  const auto [first, last] = std::minmax_element(targets.begin(), targets.end());
  if (*first < -1 || *last >= vocab) {
    throw ShapeError(concat("cross_entropy targets: got ", *first < -1 ? *first : *last,
                            ", want -1 to ", vocab - 1));
  }
}

}  // namespace

void cross_entropy_forward_backward(Context& ctx, View<float, 1> loss, View<float, 2> logits,
                                    std::span<const int32_t> targets, float scale) {
  expect_shape(loss, {logits.dim(0)}, "cross_entropy loss");
  expect_targets(targets, logits.dim(0), logits.dim(1));
  switch (ctx.device) {
    case Device::kReference:
      return reference::cross_entropy_forward_backward<float>(loss, logits, targets, scale);
    case Device::kCpu:
      return cpu::cross_entropy_forward_backward(ctx.pool, loss, logits, targets, scale);
    case Device::kCuda:
      return cuda::cross_entropy_forward_backward(*ctx.stream, loss, logits, targets, scale);
  }
}

void cross_entropy_forward(Context& ctx, View<float, 1> loss, View<const float, 2> logits,
                           std::span<const int32_t> targets) {
  expect_shape(loss, {logits.dim(0)}, "cross_entropy loss");
  expect_targets(targets, logits.dim(0), logits.dim(1));
  switch (ctx.device) {
    case Device::kReference:
      return reference::cross_entropy_forward<float>(loss, logits, targets);
    case Device::kCpu:
      return cpu::cross_entropy_forward(ctx.pool, loss, logits, targets);
    case Device::kCuda:
      return cuda::cross_entropy_forward(*ctx.stream, loss, logits, targets);
  }
}

}  // namespace hadal
