// reproduce/rounded_tiles.h: values as they come back from 8-bit floats with a scale per tile, in formats
// and tilings that training does not use, for comparison with those that it does (ops/quantize.h).
#pragma once

#include "hadal/tensor/context.h"
#include "hadal/tensor/quantized.h"

namespace hadal {

// An 8-bit float: 1 sign, the rest exponent and mantissa.
struct FloatFormat {
  int mantissa_bits = 3;
  int lowest_exponent = -6;  // of a normal number; below it the spacing stays
  double largest = 448.0;
};
inline constexpr FloatFormat kE4M3{3, -6, 448.0};
inline constexpr FloatFormat kE5M2{2, -14, 57344.0};

// Nearest value of the format, ties to even; beyond the largest: the largest.
double rounded_to(double value, const FloatFormat& format);

// x [T,K] with one scale, amax / largest in F32, for every tile. {T, K}: one for all.
Tensor rounded_in_tiles(Context& ctx, const Tensor& x, Tiling tiling, const FloatFormat& format);

// root of (sum of (a - b)^2 / sum of b^2): how far a is from b. 0 where both are zeros.
double relative_error(const Tensor& a, const Tensor& b);
// The same for every row [T] of two matrices; -1 for a row of zeros in b.
std::vector<double> relative_row_errors(const Tensor& a, const Tensor& b);

}  // namespace hadal
