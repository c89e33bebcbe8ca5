#include "hadal/ops/quantize_e5m6.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/quantize_e5m6.h"

namespace hadal {

E5m6Rows quantized_e5m6(Context& ctx, View<const float, 2> x) {
  constexpr int64_t kTile = 128;
  E5m6Rows result{ctx.empty({x.dim(0), 3 * ceil_div(x.dim(1), int64_t{2})}, DType::kU8),
                  ctx.empty({x.dim(0), ceil_div(x.dim(1), kTile)}), x.dim(1)};
  const auto codes = result.codes.view<uint8_t, 2>();
  const auto scales = result.scales.mat();
  switch (ctx.device) {
    case Device::kReference:
      reference::quantize_e5m6(codes, scales, x);
      break;
    case Device::kCpu:
      cpu::quantize_e5m6(ctx.pool, codes, scales, x);
      break;
    case Device::kCuda:
      cuda::quantize_e5m6(*ctx.stream, codes, scales, x);
      break;
  }
  return result;
}

Tensor dequantized(Context& ctx, const E5m6Rows& rows) {
  Tensor x = ctx.empty({rows.codes.dim(0), rows.cols});
  const auto codes = rows.codes.view<uint8_t, 2>();
  const auto scales = rows.scales.mat();
  switch (ctx.device) {
    case Device::kReference:
      reference::dequantize_e5m6(x.mat(), codes, scales);
      break;
    case Device::kCpu:
      cpu::dequantize_e5m6(ctx.pool, x.mat(), codes, scales);
      break;
    case Device::kCuda:
      cuda::dequantize_e5m6(*ctx.stream, x.mat(), codes, scales);
      break;
  }
  return x;
}

}  // namespace hadal
