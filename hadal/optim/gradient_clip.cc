#include "hadal/optim/gradient_clip.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "hadal/ops/elementwise.h"

namespace hadal {

GradientNorm gradient_norm(Context& ctx, const std::vector<Trainable>& params) {
  std::vector<double> squares(params.size());
  for_each_trainable(ctx, params, [&](size_t i) {
    squares[i] = sum_of_squares(ctx, std::as_const(params[i].param->grad).flat<float>());
  });
  return norm_of_squares(std::move(squares));
}

std::vector<double> block_squares(Context& ctx, std::span<const float> gradient) {
  std::vector<double> squares;
  constexpr auto kBlock = static_cast<size_t>(kSquaresBlock);
  for (size_t at = 0; at < gradient.size(); at += kBlock) {
    squares.push_back(
        sum_of_squares(ctx, gradient.subspan(at, std::min(kBlock, gradient.size() - at))));
  }
  return squares;
}

GradientNorm norm_of_squares(std::vector<double> squares) {
  GradientNorm result{.squares = std::move(squares)};
  double total = 0.0;
  for (const double square : result.squares) total += square;
  result.norm = std::sqrt(total);
  return result;
}

float clip_factor(double norm, double max_norm) {
  if (max_norm <= 0.0) return 1.0F;
  return static_cast<float>(std::min(1.0, max_norm / (norm + 1e-6)));
}

int64_t first_not_finite(const GradientNorm& norm) {
  const auto bad = std::find_if(norm.squares.begin(), norm.squares.end(),
                                [](double square) { return !std::isfinite(square); });
  return bad == norm.squares.end() ? -1 : bad - norm.squares.begin();
}

}  // namespace hadal
