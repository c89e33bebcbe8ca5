#include "hadal/ops/elementwise.h"

#include "hadal/kernels/cpu/elementwise.h"
#include "hadal/kernels/no_cuda.h"
#include "hadal/kernels/reference/elementwise.h"

namespace hadal {

void add(Context& ctx, std::span<float> y, std::span<const float> x) {
  if (x.size() != y.size()) {
    throw ShapeError(concat("add x: got [", x.size(), "], want [", y.size(), "]"));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::add(y, x);
    case Device::kCpu:
      return cpu::add(ctx.pool, y, x);
    case Device::kCuda:
      cuda::unavailable("add");
  }
}

void scale(Context& ctx, std::span<float> y, float factor) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::scale(y, factor);
    case Device::kCpu:
      return cpu::scale(ctx.pool, y, factor);
    case Device::kCuda:
      cuda::unavailable("scale");
  }
}

double sum_of_squares(Context& ctx, std::span<const float> x) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::sum_of_squares(x);
    case Device::kCpu:
      return cpu::sum_of_squares(ctx.pool, x);
    case Device::kCuda:
      break;
  }
  cuda::unavailable("sum_of_squares");
}

int64_t count_not_finite(Context& ctx, std::span<const float> x) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::count_not_finite(x);
    case Device::kCpu:
      return cpu::count_not_finite(ctx.pool, x);
    case Device::kCuda:
      break;
  }
  cuda::unavailable("count_not_finite");
}

}  // namespace hadal
