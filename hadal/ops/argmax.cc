#include "hadal/ops/argmax.h"

#include "hadal/kernels/argmax.h"

namespace hadal {

void argmax_rows(Context& ctx, std::span<int64_t> index, View<const float, 2> x) {
  if (static_cast<int64_t>(index.size()) != x.dim(0)) {
    throw ShapeError(concat("argmax_rows index: got [", index.size(), "], want [", x.dim(0), "]"));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::argmax_rows(index, x);
    case Device::kCpu:
      return cpu::argmax_rows(ctx.pool, index, x);
    case Device::kCuda:
      return cuda::argmax_rows(*ctx.stream, index, x);
  }
}

}  // namespace hadal
