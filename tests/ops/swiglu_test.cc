#include "hadal/ops/swiglu.h"

#include "hadal/kernels/swiglu.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

// dgate = dh up s (1 + gate (1 - s)): near gate = -1.28 the two terms cancel.
std::vector<double> dgate_terms(const std::vector<float>& gate, const std::vector<float>& up,
                                const std::vector<float>& dh) {
  std::vector<double> terms;
  for (size_t i = 0; i < gate.size(); ++i) {
    const double s = 1.0 / (1.0 + std::exp(-double{gate[i]}));
    terms.push_back(std::abs(double{dh[i]} * up[i]) * s * (1.0 + std::abs(gate[i]) * (1.0 - s)));
  }
  return terms;
}

TEST(SwiGlu, Agrees) {
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          const int64_t n = e.rows * e.cols;
          const Grid<float> gate(e.rows, e.cols, e.pad, random_values(n, 1, 4.0));
          const Grid<float> up(e.rows, e.cols, 1, random_values(n, 2));
          const Grid<float> dh(e.rows, e.cols, 3, random_values(n, 3));
          Grid<float> h(e.rows, e.cols, e.pad), dgate(e.rows, e.cols, 4), dup(e.rows, e.cols);
          swiglu_forward(ctx, h.view(), gate.view(), up.view());
          swiglu_backward(ctx, dgate.view(), dup.view(), dh.view(), gate.view(), up.view());
          return {{h.values(), 1},
                  {dgate.values(), 1, dgate_terms(gate.values(), up.values(), dh.values())},
                  {dup.values(), 1}};
        },
        Tolerance::for_sum(8), text(e));
  }
}

TEST(SwiGlu, SaturatesInsteadOfOverflowing) {
  // e^1000 overflows a float; silu(-1000) is 0 and silu(1000) is 1000 all the same.
  const std::vector<float> extreme = {-1e30F, -1000, -104, -88, 0, 88, 104, 1000, 1e30F, NAN};
  const int64_t n = static_cast<int64_t>(extreme.size());
  // exp(-104) times 104 is below the smallest normal float: 0 is as good.
  Tolerance tolerance = Tolerance::for_sum(8);
  tolerance.absolute = std::numeric_limits<float>::min();
  expect_backends_agree(
      [&](Context& ctx) -> Outputs {
        const Grid<float> gate(1, n, 0, extreme),
            ones(1, n, 0, std::vector<float>(extreme.size(), 1));
        Grid<float> h(1, n), dgate(1, n), dup(1, n);
        swiglu_forward(ctx, h.view(), gate.view(), ones.view());
        swiglu_backward(ctx, dgate.view(), dup.view(), ones.view(), gate.view(), ones.view());
        EXPECT_EQ(h.values()[1], 0.0F);
        EXPECT_EQ(h.values()[7], 1000.0F);
        return {{h.values(), 1}, {dgate.values(), 1}, {dup.values(), 1}};
      },
      tolerance, "extreme gates");
}

TEST(SwiGlu, GradientMayOverwriteItsInput) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    const Grid<float> gate(2, 21, 0, random_values(42, 1)), up(2, 21, 0, random_values(42, 2));
    Grid<float> dh(2, 21, 0, random_values(42, 3)), dgate(2, 21), dup(2, 21), dup_in_place(2, 21);
    swiglu_backward(machine.ctx(), dgate.view(), dup.view(), dh.view(), gate.view(), up.view());
    swiglu_backward(machine.ctx(), dh.view(), dup_in_place.view(), dh.view(), gate.view(),
                    up.view());
    expect_close(dh.values(), dgate.values(), Tolerance::exact(), "dgate in the place of dh");
    expect_close(dup_in_place.values(), dup.values(), Tolerance::exact(), "dup");
  }
}

TEST(SwiGlu, GradientsMatchDifferences) {
  const int64_t T = 2, F = 9;
  std::vector<double> gate = random_values<double>(T * F, 1, 2.0),
                      up = random_values<double>(T * F, 2);
  const std::vector<double> dh = random_values<double>(T * F, 3);
  std::vector<double> h(gate.size()), dgate(gate.size()), dup(gate.size());
  const View<const double, 2> gate_v(gate.data(), {T, F}), up_v(up.data(), {T, F});
  const auto loss = [&] {
    reference::swiglu_forward<double>({h.data(), {T, F}}, gate_v, up_v, kNoSwigluLimit);
    return weighted_sum(h, dh);
  };
  reference::swiglu_backward<double>({dgate.data(), {T, F}}, {dup.data(), {T, F}},
                                     {dh.data(), {T, F}}, gate_v, up_v, kNoSwigluLimit);
  expect_gradient(gate, loss, dgate, "dgate");
  expect_gradient(up, loss, dup, "dup");
}

// Of both sides of each limit, none near enough to it for a difference to cross it.
std::vector<double> around_limit(int64_t n, uint64_t seed, double limit) {
  std::vector<double> values = random_values<double>(n, seed, 2.0 * limit);
  for (double& value : values) {
    if (std::abs(std::abs(value) - limit) < 0.1) value *= 1.5;
  }
  return values;
}

TEST(SwiGlu, ClampedGradientsMatchDifferences) {
  const int64_t T = 3, F = 11;
  const double limit = 1.25;
  std::vector<double> gate = around_limit(T * F, 1, limit), up = around_limit(T * F, 2, limit);
  const std::vector<double> dh = random_values<double>(T * F, 3);
  std::vector<double> h(gate.size()), dgate(gate.size()), dup(gate.size());
  const View<const double, 2> gate_v(gate.data(), {T, F}), up_v(up.data(), {T, F});
  const auto loss = [&] {
    reference::swiglu_forward<double>({h.data(), {T, F}}, gate_v, up_v, limit);
    return weighted_sum(h, dh);
  };
  reference::swiglu_backward<double>({dgate.data(), {T, F}}, {dup.data(), {T, F}},
                                     {dh.data(), {T, F}}, gate_v, up_v, limit);
  EXPECT_GT(std::count(dgate.begin(), dgate.end(), 0.0), 3);
  EXPECT_GT(std::count(dup.begin(), dup.end(), 0.0), 3);
  expect_gradient(gate, loss, dgate, "dgate");
  expect_gradient(up, loss, dup, "dup");
}

// The gate from above alone, up on both sides; NaN is no number to clamp.
TEST(SwiGlu, ClampsAsPublished) {
  const float L = 10.0F;
  const std::vector<float> gate = {12, -12, 3, 3, 3, 10, NAN, 1},
                           up = {1, 1, 11, -11, NAN, 10, 1, 1};
  const auto silu = [](double g) { return g / (1.0 + std::exp(-g)); };
  const std::vector<double> want = {silu(10), silu(-12),     silu(3) * 10, silu(3) * -10,
                                    NAN,      silu(10) * 10, NAN,          silu(1)};
  const int64_t n = static_cast<int64_t>(gate.size());
  for (const Device device : all_devices()) {
    Machine machine(device);
    const Grid<float> g(1, n, 0, gate), u(1, n, 0, up), dh(1, n, 0, std::vector<float>(8, 1.0F));
    Grid<float> h(1, n), dgate(1, n), dup(1, n);
    swiglu_forward(machine.ctx(), h.view(), g.view(), u.view(), L);
    swiglu_backward(machine.ctx(), dgate.view(), dup.view(), dh.view(), g.view(), u.view(), L);
    for (size_t i = 0; i < want.size(); ++i) {
      if (std::isnan(want[i])) {
        EXPECT_TRUE(std::isnan(h.values()[i])) << i;
      } else {
        EXPECT_NEAR(h.values()[i], want[i], 1e-5 * std::abs(want[i])) << i;
      }
    }
    EXPECT_EQ(dgate.values()[0], 0.0F);
    EXPECT_NE(dgate.values()[1], 0.0F);
    EXPECT_EQ(dup.values()[2], 0.0F);
    EXPECT_EQ(dup.values()[3], 0.0F);
    EXPECT_NE(dgate.values()[5], 0.0F);  // at the limit itself it is not clamped
    EXPECT_NE(dup.values()[5], 0.0F);
    EXPECT_TRUE(std::isnan(dgate.values()[6]));
  }
}

TEST(SwiGlu, ClampedAgrees) {
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          const int64_t n = e.rows * e.cols;
          const Grid<float> gate(e.rows, e.cols, e.pad, random_values(n, 1, 4.0));
          const Grid<float> up(e.rows, e.cols, 1, random_values(n, 2, 4.0));
          const Grid<float> dh(e.rows, e.cols, 3, random_values(n, 3));
          Grid<float> h(e.rows, e.cols, e.pad), dgate(e.rows, e.cols, 4), dup(e.rows, e.cols);
          swiglu_forward(ctx, h.view(), gate.view(), up.view(), 2.0F);
          swiglu_backward(ctx, dgate.view(), dup.view(), dh.view(), gate.view(), up.view(), 2.0F);
          return {{h.values(), 1},
                  {dgate.values(), 1, dgate_terms(gate.values(), up.values(), dh.values())},
                  {dup.values(), 1}};
        },
        Tolerance::for_sum(8), text(e));
  }
}

}  // namespace
}  // namespace hadal::test
