#include "hadal/ops/quantize_q8_q4.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/quantize_q8_q4.h"

namespace hadal {
namespace {

int64_t bytes_of_q4(int64_t cols) { return ceil_div(cols, int64_t{2}); }

Tensor scales_for(Context& ctx, View<const float, 2> w) {
  return ctx.empty({w.dim(0), ceil_div(w.dim(1), kQuantBlock)}, DType::kBF16);
}

}  // namespace

QuantizedBlocks quantize_q8(Context& ctx, View<const float, 2> w) {
  QuantizedBlocks result{ctx.empty({w.dim(0), w.dim(1)}, DType::kI8), scales_for(ctx, w)};
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
      cuda::quantize_q8(codes, scales, w);
      break;
  }
  return result;
}

QuantizedBlocks quantize_q4(Context& ctx, View<const float, 2> w) {
  QuantizedBlocks result{ctx.empty({w.dim(0), bytes_of_q4(w.dim(1))}, DType::kU8),
                         scales_for(ctx, w)};
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
      cuda::quantize_q4(codes, scales, w);
      break;
  }
  return result;
}

void dequantize_q8(Context& ctx, View<float, 2> w, View<const int8_t, 2> codes,
                   View<const bf16, 2> scales) {
  expect_shape(codes, w.shape(), "dequantize_q8 codes");
  expect_shape(scales, {w.dim(0), ceil_div(w.dim(1), kQuantBlock)}, "dequantize_q8 scales");
  switch (ctx.device) {
    case Device::kReference:
      return reference::dequantize_q8(w, codes, scales);
    case Device::kCpu:
      return cpu::dequantize_q8(ctx.pool, w, codes, scales);
    case Device::kCuda:
      return cuda::dequantize_q8(w, codes, scales);
  }
}

void dequantize_q4(Context& ctx, View<float, 2> w, View<const uint8_t, 2> codes,
                   View<const bf16, 2> scales) {
  expect_shape(codes, {w.dim(0), bytes_of_q4(w.dim(1))}, "dequantize_q4 codes");
  expect_shape(scales, {w.dim(0), ceil_div(w.dim(1), kQuantBlock)}, "dequantize_q4 scales");
  switch (ctx.device) {
    case Device::kReference:
      return reference::dequantize_q4(w, codes, scales);
    case Device::kCpu:
      return cpu::dequantize_q4(ctx.pool, w, codes, scales);
    case Device::kCuda:
      return cuda::dequantize_q4(w, codes, scales);
  }
}

}  // namespace hadal
