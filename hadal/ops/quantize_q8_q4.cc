#include "hadal/ops/quantize_q8_q4.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/quantize.h"
#include "hadal/kernels/quantize_q8_q4.h"

namespace hadal {
namespace {

int64_t bytes_of_q4(int64_t cols) { return ceil_div(cols, int64_t{2}); }

// Codes and scales of the extents that rows, cols and tiling ask for.
void check_codes(const Quantized& q) {
  const int64_t code_cols = q.codes.dtype() == DType::kU8 ? bytes_of_q4(q.cols) : q.cols;
  const Tensor::Shape codes{q.rows, code_cols};
  const Tensor::Shape scales{ceil_div(q.rows, q.tiling.rows), ceil_div(q.cols, q.tiling.cols)};
  if (q.codes.shape() != codes || q.scales.shape() != scales) {
    throw ShapeError(concat("dequantize: got codes ", shape_text(q.codes.shape()), " and scales ",
                            shape_text(q.scales.shape()), ", want ", shape_text(codes), " and ",
                            shape_text(scales)));
  }
}

// `dtype` codes [N, code_cols] of w [N,K], not filled yet.
Quantized empty_codes(Context& ctx, View<const float, 2> w, DType dtype, int64_t code_cols) {
  return {ctx.empty({w.dim(0), code_cols}, dtype),
          ctx.empty({w.dim(0), ceil_div(w.dim(1), kQuantBlock)}, DType::kBF16), kQuantBlocks,
          w.dim(0), w.dim(1)};
}

}  // namespace

Quantized quantize_q8(Context& ctx, View<const float, 2> w) {
  Quantized result = empty_codes(ctx, w, DType::kI8, w.dim(1));
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

Quantized quantize_q4(Context& ctx, View<const float, 2> w) {
  Quantized result = empty_codes(ctx, w, DType::kU8, bytes_of_q4(w.dim(1)));
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

void dequantize(Context& ctx, View<float, 2> w, const Quantized& codes) {
  expect_shape(w, {codes.rows, codes.cols}, "dequantize w");
  check_codes(codes);
  const WeightView view(codes);
  switch (ctx.device) {
    case Device::kReference:
      return reference::dequantize(w, view);
    case Device::kCpu:
      return cpu::dequantize(ctx.pool, w, view);
    case Device::kCuda:
      return cuda::dequantize(w, view);
  }
}

}  // namespace hadal
