#include "hadal/ops/rmsnorm.h"

#include "hadal/kernels/rmsnorm.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

constexpr float kEps = 1e-6F;

TEST(RmsNorm, ForwardAgrees) {
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          const Grid<float> x(e.rows, e.cols, e.pad, hard_values(e, 1));
          const std::vector<float> w = random_values(e.cols, 2);
          Grid<float> y(e.rows, e.cols, e.pad + 1);
          std::vector<float> r(static_cast<size_t>(e.rows));
          rmsnorm_forward(ctx, y.view(), vector_view(r), x.view(), vector_view(w), kEps);
          return {y, {r, 1}};
        },
        Tolerance::for_sum(8), text(e));
  }
}

TEST(RmsNorm, BackwardAgrees) {
  // With a tiny eps one single column would have gradient 0 but for cancellation.
  constexpr float eps = 0.1F;
  for (const Extents& e : odd_extents()) {
    for (const float beta : {0.0F, 1.0F}) {
      expect_backends_agree(
          [&](Context& ctx) -> Outputs {
            const Grid<float> x(e.rows, e.cols, e.pad, hard_values(e, 1));
            const Grid<float> dy(e.rows, e.cols, 2, random_values(e.rows * e.cols, 3));
            const std::vector<float> w = random_values(e.cols, 2);
            Grid<float> y(e.rows, e.cols),
                dx(e.rows, e.cols, e.pad, random_values(e.rows * e.cols, 4));
            std::vector<float> r(static_cast<size_t>(e.rows)), dw = random_values(e.cols, 5);
            rmsnorm_forward(ctx, y.view(), vector_view(r), x.view(), vector_view(w), eps);
            rmsnorm_backward_input(ctx, dx.view(), dy.view(), x.view(), vector_view(w),
                                   vector_view(r), beta);
            rmsnorm_backward_weight(ctx, vector_view(dw), dy.view(), x.view(), vector_view(r));
            return {dx, dw};
          },
          Tolerance::for_sum(std::max(e.rows, e.cols)), text(e));
    }
  }
}

TEST(RmsNorm, GradientMayOverwriteItsInput) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    const int64_t T = 3, D = 37;
    const Grid<float> x(T, D, 0, random_values(T * D, 1));
    const std::vector<float> w = random_values(D, 2), r = {0.5F, 1.5F, 1.0F};
    Grid<float> dy(T, D, 0, random_values(T * D, 3)), dx(T, D);
    rmsnorm_backward_input(machine.ctx(), dx.view(), dy.view(), x.view(), vector_view(w),
                           vector_view(r));
    rmsnorm_backward_input(machine.ctx(), dy.view(), dy.view(), x.view(), vector_view(w),
                           vector_view(r));
    expect_close(dy.values(), dx.values(), Tolerance::exact(), "dx in the place of dy");
  }
}

TEST(RmsNorm, GradientsMatchDifferences) {
  const int64_t T = 3, D = 7;
  std::vector<double> x = random_values<double>(T * D, 1), w = random_values<double>(D, 2);
  const std::vector<double> dy = random_values<double>(T * D, 3);
  std::vector<double> y(x.size()), r(T), dx(x.size()), dw(w.size());
  const View<double, 2> y_v(y.data(), {T, D}), dx_v(dx.data(), {T, D});
  const View<const double, 2> x_v(x.data(), {T, D}), dy_v(dy.data(), {T, D});
  const auto loss = [&] {
    reference::rmsnorm_forward<double>(y_v, vector_view(r), x_v, vector_view(w), 1e-3);
    return weighted_sum(y, dy);
  };
  loss();
  reference::rmsnorm_backward_input<double>(dx_v, dy_v, x_v, vector_view(w), vector_view(r), 0);
  reference::rmsnorm_backward_weight<double>(vector_view(dw), dy_v, x_v, vector_view(r));
  expect_gradient(x, loss, dx, "dx");
  expect_gradient(w, loss, dw, "dw");
}

// Out of the output comes the input again, but for a rounding each of y and of the division; where a
// weight is 0, nothing does.
TEST(RmsNorm, InputComesOutOfTheOutput) {
  for (const Extents& e : odd_extents()) {
    const Grid<float> x(e.rows, e.cols, e.pad, random_values(e.rows * e.cols, 1));
    std::vector<float> w = random_values(e.cols, 2), r(static_cast<size_t>(e.rows));
    if (e.cols > 2) w[1] = 0.0F;
    Grid<float> y(e.rows, e.cols, e.pad + 1);
    Machine machine(Device::kReference);
    rmsnorm_forward(machine.ctx(), y.view(), vector_view(r), x.view(), vector_view(w), kEps);
    const auto input = [&](Context& ctx) -> Outputs {
      Grid<float> again(e.rows, e.cols, e.pad);
      rmsnorm_input(ctx, again.view(), std::as_const(y).view(), vector_view(w), vector_view(r));
      return {again};
    };
    expect_backends_agree(input, Tolerance::exact(), text(e));
    Grid<float> again(e.rows, e.cols);
    rmsnorm_input(machine.ctx(), again.view(), std::as_const(y).view(), vector_view(w),
                  vector_view(r));
    for (int64_t t = 0; t < e.rows; ++t) {
      for (int64_t i = 0; i < e.cols; ++i) {
        const float want = w[static_cast<size_t>(i)] == 0.0F ? 0.0F : x.view()(t, i);
        EXPECT_NEAR(again.view()(t, i), want, 1e-6F * std::abs(want)) << text(e);
      }
    }
  }
}

TEST(RmsNorm, RefusesOtherShapes) {
  Machine machine(Device::kCpu);
  Grid<float> y(2, 4);
  const Grid<float> x(2, 3);
  std::vector<float> r(2);
  const std::vector<float> w(3);
  EXPECT_THROW(
      rmsnorm_forward(machine.ctx(), y.view(), vector_view(r), x.view(), vector_view(w), kEps),
      ShapeError);
}

}  // namespace
}  // namespace hadal::test
