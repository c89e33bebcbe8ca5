// Column tiles of rows in groups: those of each group alone.
#include "hadal/ops/column_groups.h"

#include "hadal/core/rng.h"
#include "hadal/ops/gemm.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

Tensor normal_rows(Context& ctx, int64_t rows, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  Tensor x = ctx.empty({rows, cols});
  for (float& each : x.flat<float>()) each = static_cast<float>(rng.normal());
  return x;
}

const std::vector<int64_t> kGroups = {0, 0, 1, 130, 258, 300};

TEST(ColumnGroups, AreThoseOfEachGroupAlone) {
  for (const Device device : {Device::kReference, Device::kCpu}) {
    Machine machine(device, 2), reference(Device::kReference);
    Context& ctx = machine.ctx();
    for (const bool power_of_two : {false, true}) {
      const TileOptions options{.power_of_two = power_of_two, .amax_floor = false};
      const Tensor x = normal_rows(ctx, 300, 37, 1);
      const ColumnGroups groups = quantized_column_groups(ctx, x.mat(), kGroups, options);
      EXPECT_EQ(groups.scales.shape(), (Tensor::Shape{1 + 2 + 1 + 1, 37}));
      const Tensor all = dequantized(ctx, groups);
      for (size_t e = 0; e + 1 < kGroups.size(); ++e) {
        const int64_t n = kGroups[e + 1] - kGroups[e];
        Quantized alone{ctx.empty({n, 37}, DType::kF8E4M3), ctx.empty({ceil_div(n, kFp8Tile), 37}),
                        kColumnTiles, n, 37};
        quantize_column_tiles(reference.ctx(), alone.codes.view<f8e4m3, 2>(), alone.scales.mat(),
                              x.mat().rows(kGroups[e], kGroups[e + 1]), options);
        const Tensor want = dequantized(reference.ctx(), alone);
        for (int64_t t = 0; t < n; ++t) {
          for (int64_t c = 0; c < 37; ++c) {
            ASSERT_EQ(all.mat()(kGroups[e] + t, c), want.mat()(t, c)) << e << " " << t;
          }
        }
      }
    }
  }
}

// The report pads the tokens of an expert to whole tiles; rows of zeros change no sum.
TEST(ColumnGroups, GivesTheWeightGradientOfPaddedGroups) {
  Machine machine(Device::kCpu);
  Context& ctx = machine.ctx();
  const TileOptions options{.power_of_two = true, .amax_floor = false};
  const Tensor x = normal_rows(ctx, 40, 9, 2), dy = normal_rows(ctx, 40, 5, 3);
  Tensor x_padded = ctx.zeros({128, 9}), dy_padded = ctx.zeros({128, 5});
  std::ranges::copy(x.flat<float>(), x_padded.flat<float>().begin());
  std::ranges::copy(dy.flat<float>(), dy_padded.flat<float>().begin());
  const auto gradient = [&](const Tensor& of_dy, const Tensor& of_x) {
    const std::vector<int64_t> one = {0, of_x.dim(0)};
    const Tensor a = dequantized(ctx, quantized_column_groups(ctx, of_dy.mat(), one, options));
    const Tensor b = dequantized(ctx, quantized_column_groups(ctx, of_x.mat(), one, options));
    Tensor dw = ctx.zeros({5, 9});
    gemm_tn(ctx, dw.mat(), a.mat(), b.mat());
    return dw;
  };
  expect_close(gradient(dy, x), gradient(dy_padded, x_padded), Tolerance::exact(), "dW");
}

TEST(ColumnTiles, HaveTheSameValuesOnEveryDevice) {
  for (const Device device : all_devices()) {
    Machine machine(device, 2), reference(Device::kReference);
    const Tensor x = normal_rows(reference.ctx(), 131, 37, 4);
    const ColumnGroups tiles =
        quantized_column_groups(reference.ctx(), x.mat(), std::vector<int64_t>{0, 131}, {});
    Tensor got = machine.ctx().empty({131, 37});
    dequantize_column_tiles(machine.ctx(), got.mat(), tiles.codes.view<f8e4m3, 2>(),
                            tiles.scales.mat());
    expect_close(got, dequantized(reference.ctx(), tiles), Tolerance::exact(), "x");
  }
}

TEST(ColumnGroups, RefuseOffsetsThatDoNotCoverTheRows) {
  Machine machine(Device::kCpu);
  const Tensor x = normal_rows(machine.ctx(), 4, 2, 1);
  for (const std::vector<int64_t>& offsets :
       {std::vector<int64_t>{}, std::vector<int64_t>{0, 3}, std::vector<int64_t>{1, 4}}) {
    EXPECT_THROW(quantized_column_groups(machine.ctx(), x.mat(), offsets, {}), ShapeError);
  }
}

}  // namespace
}  // namespace hadal::test
