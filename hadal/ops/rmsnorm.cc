#include "hadal/ops/rmsnorm.h"

#include "hadal/kernels/rmsnorm.h"

namespace hadal {

void rmsnorm_forward(Context& ctx, View<float, 2> y, View<float, 1> r, View<const float, 2> x,
                     View<const float, 1> w, float eps) {
  expect_shape(y, x.shape(), "rmsnorm y");
  expect_shape(r, {x.dim(0)}, "rmsnorm r");
  expect_shape(w, {x.dim(1)}, "rmsnorm w");
  switch (ctx.device) {
    case Device::kReference:
      return reference::rmsnorm_forward<float>(y, r, x, w, eps);
    case Device::kCpu:
      return cpu::rmsnorm_forward(ctx.pool, y, r, x, w, eps);
    case Device::kCuda:
      return cuda::rmsnorm_forward(*ctx.stream, y, r, x, w, eps);
  }
}

void rmsnorm_backward_input(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                            View<const float, 2> x, View<const float, 1> w, View<const float, 1> r,
                            float beta) {
  expect_shape(dx, x.shape(), "rmsnorm dx");
  expect_shape(dy, x.shape(), "rmsnorm dy");
  expect_shape(w, {x.dim(1)}, "rmsnorm w");
  expect_shape(r, {x.dim(0)}, "rmsnorm r");
  switch (ctx.device) {
    case Device::kReference:
      return reference::rmsnorm_backward_input<float>(dx, dy, x, w, r, beta);
    case Device::kCpu:
      return cpu::rmsnorm_backward_input(ctx.pool, dx, dy, x, w, r, beta);
    case Device::kCuda:
      return cuda::rmsnorm_backward_input(*ctx.stream, dx, dy, x, w, r, beta);
  }
}

void rmsnorm_backward_weight(Context& ctx, View<float, 1> dw, View<const float, 2> dy,
                             View<const float, 2> x, View<const float, 1> r) {
  expect_shape(dw, {x.dim(1)}, "rmsnorm dw");
  expect_shape(dy, x.shape(), "rmsnorm dy");
  expect_shape(r, {x.dim(0)}, "rmsnorm r");
  switch (ctx.device) {
    case Device::kReference:
      return reference::rmsnorm_backward_weight<float>(dw, dy, x, r);
    case Device::kCpu:
      return cpu::rmsnorm_backward_weight(ctx.pool, dw, dy, x, r);
    case Device::kCuda:
      return cuda::rmsnorm_backward_weight(*ctx.stream, dw, dy, x, r);
  }
}

void rmsnorm_input(Context& ctx, View<float, 2> x, View<const float, 2> y, View<const float, 1> w,
                   View<const float, 1> r) {
  expect_shape(x, y.shape(), "rmsnorm x");
  expect_shape(w, {y.dim(1)}, "rmsnorm w");
  expect_shape(r, {y.dim(0)}, "rmsnorm r");
  switch (ctx.device) {
    case Device::kReference:
      return reference::rmsnorm_input<float>(x, y, w, r);
    case Device::kCpu:
      return cpu::rmsnorm_input(ctx.pool, x, y, w, r);
    case Device::kCuda:
      return cuda::rmsnorm_input(*ctx.stream, x, y, w, r);
  }
}

}  // namespace hadal
