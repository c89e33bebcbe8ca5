#include "hadal/reproduce/rounded_tiles.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hadal/core/rng.h"
#include "hadal/reproduce/fp8_tiles.h"

namespace hadal {
namespace {

TEST(RoundedTo, IsE4M3) {
  for (int code = 0; code < 127; ++code) {
    const double value = to_float(f8e4m3{static_cast<uint8_t>(code)});
    EXPECT_EQ(rounded_to(value, kE4M3), value);
  }
  Rng rng(3);
  for (int i = 0; i < 20000; ++i) {
    const auto value = static_cast<float>(rng.normal() * std::exp2(rng.uniform() * 24.0 - 14.0));
    ASSERT_EQ(rounded_to(value, kE4M3), double{to_float(to_f8e4m3(value))}) << value;
  }
}

TEST(RoundedTo, IsE5M2) {
  EXPECT_EQ(rounded_to(17.0, kE5M2), 16.0);
  EXPECT_EQ(rounded_to(18.0, kE5M2), 16.0);  // a tie: to the even code
  EXPECT_EQ(rounded_to(22.0, kE5M2), 24.0);
  EXPECT_EQ(rounded_to(-1e9, kE5M2), -57344.0);
  EXPECT_EQ(rounded_to(0x1.0p-16, kE5M2), 0x1.0p-16);  // the smallest
  EXPECT_EQ(rounded_to(0x1.0p-17, kE5M2), 0.0);
}

TEST(RoundedInTiles, IsWhatTrainingDoesWhereBothCan) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  Rng rng(5);
  Tensor x = ctx.empty({131, 150});  // ragged both ways
  for (float& value : x.flat<float>()) value = static_cast<float>(rng.normal());
  for (const Tiling tiling : {kRowTiles, kColumnTiles, kWeightBlocks}) {
    const Tensor one = rounded_in_tiles(ctx, x, tiling, kE4M3);
    const Tensor other = through_e4m3(ctx, x, tiling, /*power_of_two=*/false);
    EXPECT_EQ(relative_error(one, other), 0.0) << tiling.rows << "x" << tiling.cols;
    EXPECT_GT(relative_error(one, x), 0.01);
  }
}

TEST(RelativeError, OfRows) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  Tensor a = ctx.zeros({2, 2}), b = ctx.zeros({2, 2});
  b.mat()(0, 0) = 3.0F;
  b.mat()(0, 1) = 4.0F;
  a.mat()(0, 0) = 3.0F;
  EXPECT_DOUBLE_EQ(relative_error(a, b), 0.8);
  EXPECT_EQ(relative_row_errors(a, b), (std::vector<double>{0.8, -1.0}));
}

}  // namespace
}  // namespace hadal
