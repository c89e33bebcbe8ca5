#include "hadal/ops/quantize_q8_q4.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/quantize_q8_q4.h"

namespace hadal {
namespace {

// Codes of w [N,K], not filled yet.
Quantized empty_codes(Context& ctx, View<const float, 2> w, DType dtype) {
  return {ctx.empty({w.dim(0), code_columns(dtype, w.dim(1))}, dtype),
          ctx.empty({w.dim(0), ceil_div(w.dim(1), kQuantBlock)}, DType::kBF16), kQuantBlocks,
          w.dim(0), w.dim(1)};
}

}  // namespace

Quantized quantize_q8(Context& ctx, View<const float, 2> w) {
  Quantized result = empty_codes(ctx, w, DType::kI8);
  const auto codes = result.codes.view<int8_t, 2>();
  const auto scales = result.scales.view<bf16, 2>();
  switch (ctx.device) {
    case Device::kReference:
      reference::quantize_q8(codes, scales, w);
      break;
    case Device::kCpu:
      cpu::quantize_q8(ctx.pool, codes, scales, w);
      break;
    case Device::kCuda:
      cuda::quantize_q8(*ctx.stream, codes, scales, w);
      break;
  }
  return result;
}

Quantized quantize_q4(Context& ctx, View<const float, 2> w) {
  Quantized result = empty_codes(ctx, w, DType::kU8);
  const auto codes = result.codes.view<uint8_t, 2>();
  const auto scales = result.scales.view<bf16, 2>();
  switch (ctx.device) {
    case Device::kReference:
      reference::quantize_q4(codes, scales, w);
      break;
    case Device::kCpu:
      cpu::quantize_q4(ctx.pool, codes, scales, w);
      break;
    case Device::kCuda:
      cuda::quantize_q4(*ctx.stream, codes, scales, w);
      break;
  }
  return result;
}

}  // namespace hadal
