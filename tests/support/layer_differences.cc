#include "tests/support/layer_differences.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/compare.h"

namespace hadal::test {

std::vector<Param*> params_under(DeepseekV3& model, const std::string& prefix) {
  std::vector<Param*> result;
  for (NamedParam& each : named_params(model)) {
    if (each.name.starts_with(prefix) && each.kind != ParamKind::kRouteBias) {
      result.push_back(each.param);
    }
  }
  EXPECT_FALSE(result.empty()) << prefix;
  return result;
}

namespace {

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

std::vector<float> direction_of(std::span<const float> values, uint64_t seed) {
  return random_values(static_cast<int64_t>(values.size()), seed, 0.3);
}

// values + step * direction
void move_to(std::span<float> out, std::span<const float> values,
             const std::vector<float>& direction, double step) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(double{values[i]} + step * double{direction[i]});
  }
}

}  // namespace

void expect_backward_matches_differences(Context& ctx, LayerUnderTest& layer, uint64_t seed,
                                         const std::string& what) {
  SCOPED_TRACE(what);
  // Everything that moves: inputs first, then parameter values.
  std::vector<Tensor*> moving;
  for (Tensor& input : layer.inputs) moving.push_back(&input);
  for (Param* param : layer.params) {
    moving.push_back(&param->master);
    param->allocate_grad(ctx.arena);
  }
  std::vector<Tensor> start;
  std::vector<std::vector<float>> u;
  for (size_t i = 0; i < moving.size(); ++i) {
    start.push_back(moving[i]->clone(ctx.arena));
    u.push_back(direction_of(std::as_const(start[i]).flat<float>(), seed + i));
  }

  // The loss is sum(weight * y), so its gradient for y is `weight`.
  const int64_t before = ctx.arena.bytes_in_use();
  Tensor y = layer.forward(layer.inputs);
  const std::vector<float> weight = random_values(y.size(), seed + 100);
  double noise = 0.0;
  for (size_t i = 0; i < weight.size(); ++i) {
    const double term = double{weight[i]} * double{std::as_const(y).flat<float>()[i]};
    noise += term * term;
  }
  Tensor dy = ctx.empty(y.shape());
  std::ranges::copy(weight, dy.flat<float>().begin());
  y = {};
  const auto choice = layer.choice();
  std::vector<Tensor> dx = layer.backward(std::move(dy));
  ASSERT_EQ(dx.size(), layer.inputs.size());
  double analytic = 0.0, scale = 0.0;
  for (size_t i = 0; i < moving.size(); ++i) {
    const Tensor& gradient = i < dx.size() ? dx[i] : layer.params[i - dx.size()]->grad;
    ASSERT_EQ(gradient.shape(), start[i].shape());
    analytic += dot(gradient.flat<float>(), u[i]);
    scale += dot(gradient.flat<float>(), gradient.flat<float>()) * dot(u[i], u[i]) /
             static_cast<double>(u[i].size());
  }
  dx.clear();
  EXPECT_EQ(ctx.arena.bytes_in_use(), before) << "memory kept after W";

  const auto loss_at = [&](double step) {
    for (size_t i = 0; i < moving.size(); ++i) {
      move_to(moving[i]->flat<float>(), std::as_const(start[i]).flat<float>(), u[i], step);
    }
    const Tensor moved = layer.forward(layer.inputs);
    EXPECT_EQ(layer.choice(), choice) << "another seed is needed: the choice of experts flips";
    return dot(moved.flat<float>(), weight);
  };
  // Fourth order: the error of the formula falls with step^4.
  const auto derivative = [&](double h) {
    return (8.0 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12.0 * h);
  };
  constexpr double kStep = 4e-3;
  const double numeric = derivative(kStep);
  // Rounding: each y carries a relative error of a few dozen eps (sums of some hundred terms), and
  // 18/12 of it is divided by the step. Truncation: what doubling the step changes, at least 15
  // times the error at the smaller step.
  const double eps = std::numeric_limits<float>::epsilon();
  const double bound =
      1.5 * 32.0 * eps * std::sqrt(noise) / kStep + std::abs(derivative(2 * kStep) - numeric);
  EXPECT_NEAR(analytic, numeric, bound);
  EXPECT_LT(bound, 0.05 * std::sqrt(scale)) << "the comparison has no power";
  loss_at(0.0);  // values as they were
}

}  // namespace hadal::test
