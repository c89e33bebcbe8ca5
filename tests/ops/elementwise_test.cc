#include "hadal/ops/elementwise.h"

#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

TEST(Elementwise, Agrees) {
  for (const int64_t n : {0, 1, 7, 16, 33, 8191, 8193, 100003}) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          std::vector<float> y = random_values(n, 1), z = y, average = y, filled = y;
          const std::vector<float> x = random_values(n, 2);
          add(ctx, y, x);
          scale(ctx, z, 0.3F);
          ema_update(ctx, average, x, 0.99F);
          fill(ctx, filled, -1.5F);
          EXPECT_EQ(filled, std::vector<float>(filled.size(), -1.5F));
          return {y, z, average, filled};
        },
        Tolerance::exact(), std::to_string(n));
  }
}

TEST(EmaUpdate, RoundsTheProductBeforeItAdds) {
  const std::vector<float> old = random_values(1001, 1), value = random_values(1001, 2);
  std::vector<float> want = old, fused = old;
  for (size_t i = 0; i < old.size(); ++i) {
    want[i] += (1.0F - 0.99F) * (value[i] - old[i]);
    fused[i] = std::fma(1.0F - 0.99F, value[i] - old[i], old[i]);
  }
  ASSERT_NE(fused, want);  // or the test would not notice
  for (const Device device : all_devices()) {
    Machine machine(device);
    std::vector<float> average = old;
    ema_update(machine.ctx(), average, value, 0.99F);
    EXPECT_EQ(average, want);
  }
}

TEST(SumOfSquares, SameBitsForAnyThreadCount) {
  for (const int64_t n : {0, 1, 15, 8192, 8193, 300001}) {
    const std::vector<float> x = random_values(n, 1, 100.0);
    Machine reference(Device::kReference), one(Device::kCpu, 1);
    const double want = sum_of_squares(reference.ctx(), x), got = sum_of_squares(one.ctx(), x);
    // Both in f64, only the order differs: rounding errors add up like sqrt(n).
    EXPECT_NEAR(got, want, 4e-16 * std::sqrt(static_cast<double>(n)) * want);
    for (const int threads : {2, 3, 4}) {
      Machine many(Device::kCpu, threads);
      EXPECT_EQ(sum_of_squares(many.ctx(), x), got) << threads;
    }
  }
}

TEST(SumOfSquares, DoesNotOverflowLikeAFloat) {
  Machine machine(Device::kCpu);
  EXPECT_DOUBLE_EQ(sum_of_squares(machine.ctx(), std::vector<float>(64, 1e30F)),
                   64.0 * double{1e30F} * double{1e30F});
}

TEST(LargestMagnitude, FindsItWhateverItsSignAndShowsNaN) {
  for (const Device device : all_devices()) {
    Machine machine(device, 3);
    EXPECT_EQ(largest_magnitude(machine.ctx(), std::vector<float>{}), 0.0F);
    std::vector<float> x = random_values(50001, 1);
    x[50000] = -77.5F;
    EXPECT_EQ(largest_magnitude(machine.ctx(), x), 77.5F);
    x[3] = 78.0F;
    EXPECT_EQ(largest_magnitude(machine.ctx(), x), 78.0F);
    x[4] = -INFINITY;
    EXPECT_EQ(largest_magnitude(machine.ctx(), x), INFINITY);
    x[20000] = -NAN;
    EXPECT_TRUE(std::isnan(largest_magnitude(machine.ctx(), x)));
  }
}

TEST(CountNotFinite, FindsEachOne) {
  for (const Device device : all_devices()) {
    Machine machine(device, 3);
    std::vector<float> x = random_values(50001, 1);
    EXPECT_EQ(count_not_finite(machine.ctx(), x), 0);
    x[0] = NAN;
    x[20000] = INFINITY;
    x[50000] = -INFINITY;
    x[77] = 3.4e38F;  // large, but a number
    EXPECT_EQ(count_not_finite(machine.ctx(), x), 3);
  }
}

TEST(Elementwise, RefusesDifferentLengths) {
  Machine machine(Device::kCpu);
  std::vector<float> y(3);
  EXPECT_THROW(add(machine.ctx(), y, std::vector<float>(4)), ShapeError);
  EXPECT_THROW(ema_update(machine.ctx(), y, std::vector<float>(4), 0.5F), ShapeError);
}

}  // namespace
}  // namespace hadal::test
