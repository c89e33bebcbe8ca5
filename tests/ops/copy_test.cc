#include "hadal/ops/copy.h"

#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

// Swaps the halves of `from`'s rows and leaves the middle row of an odd number of rows out.
std::vector<RowRange> halves(int64_t rows) {
  const int64_t half = rows / 2;
  return {{.to = 0, .from = rows - half, .n = half}, {.to = rows - half, .from = 0, .n = half}};
}

TEST(Copy, BackendsAgree) {
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          const std::vector<float> old = random_values(e.rows * e.cols, 1);
          const Grid<float> from(e.rows, e.cols, e.pad, random_values(e.rows * e.cols, 2));
          Grid<float> all(e.rows, e.cols, 0), some(e.rows, e.cols, 3, old),
              sum(e.rows, e.cols, e.pad, old);
          copy_rows(ctx, all.view(), from.view());
          copy_row_ranges(ctx, some.view(), from.view(), halves(e.rows));
          add_row_ranges(ctx, sum.view(), from.view(), halves(e.rows));
          return {all, some, sum};
        },
        Tolerance::exact(), text(e));
  }
}

TEST(Copy, RowsLandWhereTheRangesSay) {
  for (const Device device : all_devices()) {
    Machine machine(device, 3);
    const Grid<float> from(3, 2, 1, {1, 2, 3, 4, 5, 6});
    Grid<float> to(4, 2, 2, std::vector<float>(8, 9)), sum = to, all(3, 2, 5);
    const std::vector<RowRange> ranges = {
        {.to = 3, .from = 0, .n = 1}, {.to = 0, .from = 1, .n = 2}, {.to = 4, .from = 3, .n = 0}};
    copy_rows(machine.ctx(), all.view(), from.view());
    copy_row_ranges(machine.ctx(), to.view(), from.view(), ranges);
    add_row_ranges(machine.ctx(), sum.view(), from.view(), ranges);
    EXPECT_EQ(all.values(), from.values());
    EXPECT_EQ(to.values(), (std::vector<float>{3, 4, 5, 6, 9, 9, 1, 2}));
    EXPECT_EQ(sum.values(), (std::vector<float>{12, 13, 14, 15, 9, 9, 10, 11}));
  }
}

TEST(Copy, RangesThatMeetTakeTheirTurns) {
  const Grid<float> from(3, 1, 0, {1, 2, 4});
  const std::vector<RowRange> ranges = {{.to = 1, .from = 0, .n = 2}, {.to = 0, .from = 1, .n = 2}};
  for (const Device device : all_devices()) {
    Machine machine(device, 3);
    Grid<float> to(3, 1, 0, {0.5F, 0.5F, 0.5F}), sum = to;
    copy_row_ranges(machine.ctx(), to.view(), from.view(), ranges);
    add_row_ranges(machine.ctx(), sum.view(), from.view(), ranges);
    EXPECT_EQ(to.values(), (std::vector<float>{2, 4, 2}));
    EXPECT_EQ(sum.values(), (std::vector<float>{2.5F, 5.5F, 2.5F}));
  }
}

TEST(Copy, RefusesOtherShapesAndRangesBeyondThem) {
  Machine machine(Device::kCpu);
  Grid<float> x(3, 2), wider(3, 3), longer(4, 2);
  EXPECT_THROW(copy_rows(machine.ctx(), x.view(), wider.view()), ShapeError);
  EXPECT_THROW(copy_rows(machine.ctx(), x.view(), longer.view()), ShapeError);
  const auto refused = [&](View<float, 2> from, const RowRange& range) {
    const std::vector<RowRange> ranges = {range};
    EXPECT_THROW(copy_row_ranges(machine.ctx(), x.view(), from, ranges), ShapeError);
    EXPECT_THROW(add_row_ranges(machine.ctx(), x.view(), from, ranges), ShapeError);
  };
  refused(wider.view(), {.to = 0, .from = 0, .n = 1});
  refused(longer.view(), {.to = 0, .from = 0, .n = 4});
  refused(longer.view(), {.to = 2, .from = 0, .n = 2});
  refused(longer.view(), {.to = 0, .from = 3, .n = 2});
  refused(longer.view(), {.to = -1, .from = 0, .n = 1});
  refused(longer.view(), {.to = 0, .from = -1, .n = 1});
  refused(longer.view(), {.to = 1, .from = 1, .n = -1});
}

}  // namespace
}  // namespace hadal::test
