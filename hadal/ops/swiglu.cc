#include "hadal/ops/swiglu.h"

#include "hadal/kernels/swiglu.h"

namespace hadal {

void swiglu_forward(Context& ctx, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up, float limit) {
  expect_shape(h, gate.shape(), "swiglu h");
  expect_shape(up, gate.shape(), "swiglu up");
  switch (ctx.device) {
    case Device::kReference:
      return reference::swiglu_forward<float>(h, gate, up, limit);
    case Device::kCpu:
      return cpu::swiglu_forward(ctx.pool, h, gate, up, limit);
    case Device::kCuda:
      return cuda::swiglu_forward(*ctx.stream, h, gate, up, limit);
  }
}

void swiglu_backward(Context& ctx, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up,
                     float limit) {
  expect_shape(dgate, gate.shape(), "swiglu dgate");
  expect_shape(dup, gate.shape(), "swiglu dup");
  expect_shape(dh, gate.shape(), "swiglu dh");
  expect_shape(up, gate.shape(), "swiglu up");
  switch (ctx.device) {
    case Device::kReference:
      return reference::swiglu_backward<float>(dgate, dup, dh, gate, up, limit);
    case Device::kCpu:
      return cpu::swiglu_backward(ctx.pool, dgate, dup, dh, gate, up, limit);
    case Device::kCuda:
      return cuda::swiglu_backward(*ctx.stream, dgate, dup, dh, gate, up, limit);
  }
}

}  // namespace hadal
