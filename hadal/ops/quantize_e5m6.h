// ops/quantize_e5m6.h: 12 bits a value for what attention gave (report section 3.3.3): the backward
// of attention reads it too, which is sensitive to precision. 1 sign, 5 exponent (bias 15), 6
// mantissa; subnormals, saturating, no infinity and no NaN. The report gives the field widths alone.
//
//   amax = max |x| of 128 columns of a row    s = 2^ceil(log2(amax / 130048))    x ~ code * s
// Two codes stand in three bytes, the even column in the low 12 bits; an odd row ends with a zero.
#pragma once

#include "hadal/tensor/context.h"

namespace hadal {

struct E5m6Rows {
  Tensor codes;   // U8 [T, 3 * ceil(K/2)]
  Tensor scales;  // F32 [T, ceil(K/128)]
  int64_t cols = 0;

  E5m6Rows share() const { return {codes.share(), scales.share(), cols}; }
  int64_t bytes() const { return codes.bytes() + scales.bytes(); }
};

E5m6Rows quantized_e5m6(Context& ctx, View<const float, 2> x);  // [T,K]
Tensor dequantized(Context& ctx, const E5m6Rows& rows);         // F32 [T,K]

}  // namespace hadal
