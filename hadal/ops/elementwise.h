// ops/elementwise.h: updates of every element and sums over whole tensors.
#pragma once

#include <span>

#include "hadal/tensor/context.h"

namespace hadal {

void add(Context& ctx, std::span<float> y, std::span<const float> x);  // y += x
void scale(Context& ctx, std::span<float> y, float factor);            // y *= factor
void fill(Context& ctx, std::span<float> y, float value);              // y = value
// average += (1 - decay) * (value - average), each operation rounded to f32, none fused.
void ema_update(Context& ctx, std::span<float> average, std::span<const float> value, float decay);
// sum_i x[i]^2 in f64, in a fixed order that does not depend on the thread count: on the CPU each block
// of kSquaresBlock elements by itself, then the blocks one after the other.
inline constexpr int64_t kSquaresBlock = 8192;
double sum_of_squares(Context& ctx, std::span<const float> x);
// max_i |x[i]|, 0 for no element; NaN if one is NaN.
float largest_magnitude(Context& ctx, std::span<const float> x);
// How many elements are NaN or infinite.
int64_t count_not_finite(Context& ctx, std::span<const float> x);

}  // namespace hadal
