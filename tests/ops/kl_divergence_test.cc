#include "hadal/ops/kl_divergence.h"

#include <cmath>

#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

TEST(KlDivergence, BackendsAgree) {
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          const Grid<float> p(e.rows, e.cols, e.pad, random_values(e.rows * e.cols, 1, 3.0));
          const Grid<float> q(e.rows, e.cols, 1, random_values(e.rows * e.cols, 2, 3.0));
          Tensor kl = ctx.empty({e.rows});
          kl_divergence(ctx, kl.vec(), p.view(), q.view());
          const auto values = std::as_const(kl).flat<float>();
          return {std::vector<float>(values.begin(), values.end())};
        },
        Tolerance::exact(), text(e));
  }
}

// p = (1/4, 3/4), q = (1/2, 1/2): 1/4 log 1/2 + 3/4 log 3/2. A constant added to a row changes nothing,
// large logits do not overflow, equal rows are exactly zero apart.
TEST(KlDivergence, ByHand) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    const float log3 = std::log(3.0F);
    const Grid<float> p(3, 2, 0, {0, log3, 500, 500 + log3, -7, 3});
    const Grid<float> q(3, 2, 0, {0, 0, -900, -900, -7, 3});
    Tensor kl = machine.ctx().empty({3});
    kl_divergence(machine.ctx(), kl.vec(), p.view(), q.view());
    const auto want = static_cast<float>(0.25 * std::log(0.5) + 0.75 * std::log(1.5));
    EXPECT_NEAR(kl.vec()(0), want, 1e-6);
    // log 3 next to 500 is off by 500 * 2^-24 at most
    EXPECT_NEAR(kl.vec()(1), want, 4e-5);
    EXPECT_EQ(kl.vec()(2), 0.0F);
  }
}

TEST(KlDivergence, RefusesAnotherShape) {
  Machine machine(Device::kCpu);
  Tensor kl = machine.ctx().empty({2});
  const Grid<float> two(2, 3), three(3, 3), wide(2, 4);
  EXPECT_THROW(kl_divergence(machine.ctx(), kl.vec(), two.view(), wide.view()), ShapeError);
  EXPECT_THROW(kl_divergence(machine.ctx(), kl.vec(), three.view(), three.view()), ShapeError);
}

}  // namespace
}  // namespace hadal::test
