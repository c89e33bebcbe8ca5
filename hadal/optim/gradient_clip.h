// optim/gradient_clip.h: the global norm of all gradients, and the factor that bounds it.
//
//   norm = sqrt(sum over all parameters of |g|^2)      factor = min(1, max_norm / (norm + 1e-6))
#pragma once

#include <vector>

#include "hadal/optim/trainable.h"

namespace hadal {

struct GradientNorm {
  double norm = 0.0;
  std::vector<double> squares;  // |g|^2 of each parameter, in the order given
};
// Sums in f64, in an order that does not depend on the thread count.
GradientNorm gradient_norm(Context& ctx, const std::vector<Trainable>& params);

// The parts of such a sum, where a gradient lies in several places: |g|^2 of each kSquaresBlock elements
// (ops/elementwise.h). Where every place but the last has a multiple of those, adding the blocks of all
// in their order gives the square of the whole, on the CPU bit for bit.
std::vector<double> block_squares(Context& ctx, std::span<const float> gradient);
GradientNorm norm_of_squares(std::vector<double> squares);

// max_norm 0 switches clipping off.
float clip_factor(double norm, double max_norm);

// Index of the first parameter whose gradient holds a NaN or an infinity; -1: all are finite.
int64_t first_not_finite(const GradientNorm& norm);

}  // namespace hadal
