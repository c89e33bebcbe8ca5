// ops/quantize_q8_q4.h: hadal's own 8 and 4 bit weights (docs/formats.md).
//
//   blocks of 32 values along the input axis, one BF16 scale s each, symmetric
//   q8: code = round(x / s) in [-127, 127]     s = amax / 127     I8 [N, K]
//   q4: code = round(x / s) in [-7, 7]         s = amax / 7       U8 [N, ceil(K/2)]
//       stored as code + 8, two a byte, the even column in the low half; an odd last column is
//       followed by an 8
//   s is rounded up to a BF16, so that no code saturates: |x - code * s| <= s / 2.
#pragma once

#include "hadal/tensor/context.h"
#include "hadal/tensor/quantized.h"

namespace hadal {

struct QuantizedBlocks {
  Tensor codes;   // I8 [N,K] or U8 [N,ceil(K/2)]
  Tensor scales;  // BF16 [N, ceil(K/32)]
};
// w [N,K]. REQUIRES finite values.
QuantizedBlocks quantize_q8(Context& ctx, View<const float, 2> w);
QuantizedBlocks quantize_q4(Context& ctx, View<const float, 2> w);
// w [N,K] = code * scale
void dequantize_q8(Context& ctx, View<float, 2> w, View<const int8_t, 2> codes,
                   View<const bf16, 2> scales);
void dequantize_q4(Context& ctx, View<float, 2> w, View<const uint8_t, 2> codes,
                   View<const bf16, 2> scales);

}  // namespace hadal
