#include "hadal/ops/argmax.h"

#include <algorithm>

#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

std::vector<int64_t> argmax(Context& ctx, View<const float, 2> x) {
  std::vector<int64_t> index(static_cast<size_t>(x.dim(0)), -1);
  argmax_rows(ctx, index, x);
  return index;
}

// Few different values, so that most rows have equals; some rows hold NaN.
TEST(Argmax, IsTheOneOfTheStandardLibrary) {
  for (const Extents& e : odd_extents()) {
    std::vector<float> values = random_values(e.rows * e.cols, 1, 3.0);
    for (float& value : values) value = std::round(value);
    for (size_t i = 0; i < values.size(); i += 11) values[i] = NAN;
    const Grid<float> x(e.rows, e.cols, e.pad, values);
    std::vector<int64_t> want;
    for (int64_t t = 0; t < e.rows; ++t) {
      const auto row = x.view().row(t);
      want.push_back(std::max_element(row.begin(), row.end()) - row.begin());
    }
    for (const Device device : all_devices()) {
      for (const int threads : {1, 4}) {
        Machine machine(device, threads);
        EXPECT_EQ(argmax(machine.ctx(), x.view()), want) << text(e);
      }
    }
  }
}

TEST(Argmax, TheFirstOfEqualsAndNaNStaysInFront) {
  for (const Device device : all_devices()) {
    Machine machine(device, 2);
    const Grid<float> x(5, 3, 1,
                        {1, 7, 7, NAN, 9, 1, 2, NAN, 3, -INFINITY, -INFINITY, -5, -0.0F, 0.0F, -1});
    EXPECT_EQ(argmax(machine.ctx(), x.view()), (std::vector<int64_t>{1, 0, 2, 2, 0}));
    EXPECT_EQ(argmax(machine.ctx(), Grid<float>(2, 0).view()), (std::vector<int64_t>{0, 0}));
  }
}

TEST(Argmax, RefusesAnotherNumberOfRows) {
  Machine machine(Device::kCpu);
  std::vector<int64_t> index(2);
  EXPECT_THROW(argmax_rows(machine.ctx(), index, Grid<float>(3, 1).view()), ShapeError);
}

}  // namespace
}  // namespace hadal::test
