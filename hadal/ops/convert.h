// ops/convert.h: one floating-point format into another, element by element.
//
//   to[i] = from[i]    rounded to nearest even where `to` is the narrower format
// Any pair of F32, BF16 and F16 (ShapeError for another type), of equal shape. BF16 to F16 and back
// goes by way of F32, which is exact, so it rounds once. The same format keeps its bits.
#pragma once

#include "hadal/tensor/context.h"

namespace hadal {

void convert(Context& ctx, Tensor& to, const Tensor& from);

}  // namespace hadal
