// ops/quantize_q8_q4.h: hadal's own 8 and 4 bit weights (docs/formats.md).
//
//   blocks of 32 values along the input axis, one BF16 scale s each, of either sign
//   q8: code = round(x / s) in [-127, 127]     I8 [N, K]
//   q4: code = round(x / s) in [-8, 7]         U8 [N, ceil(K/2)]
//       stored as code + 8, two a byte, the even column in the low half; an odd last column is
//       followed by an 8
//   s is the one of a few candidates with the least sum of squared errors over its block, so the value
//   of largest magnitude may lose up to one step that the others gain. What was decoded from such a
//   block gives the same values again.
// Source of the choice: docs/decisions/018-scales-by-least-squares.md.
#pragma once

#include "hadal/tensor/context.h"
#include "hadal/tensor/quantized.h"

namespace hadal {

// w [N,K]. REQUIRES finite values. Back to values: ops/quantize.h.
Quantized quantize_q8(Context& ctx, View<const float, 2> w);
Quantized quantize_q4(Context& ctx, View<const float, 2> w);

}  // namespace hadal
