#include "hadal/ops/gemm_fp8.h"

#include "hadal/core/checked_math.h"
#include "tests/ops/golden_units.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

struct QuantizedOperand {
  Tensor codes, scales;
  Fp8Operand operand() const { return {codes.view<f8e4m3, 2>(), scales.mat()}; }
};

QuantizedOperand row_tiles(Context& ctx, const Tensor& x, const TileOptions& options) {
  QuantizedOperand q{ctx.empty(x.shape(), DType::kF8E4M3),
                     ctx.empty({x.dim(0), ceil_div(x.dim(1), 128)})};
  quantize_tiles(ctx, q.codes.view<f8e4m3, 2>(), q.scales.mat(), x.mat(), options);
  return q;
}
QuantizedOperand column_tiles(Context& ctx, const Tensor& x, const TileOptions& options) {
  QuantizedOperand q{ctx.empty(x.shape(), DType::kF8E4M3),
                     ctx.empty({ceil_div(x.dim(0), 128), x.dim(1)})};
  quantize_column_tiles(ctx, q.codes.view<f8e4m3, 2>(), q.scales.mat(), x.mat(), options);
  return q;
}
QuantizedOperand blocks(Context& ctx, const Tensor& w, bool power_of_two) {
  QuantizedOperand q{ctx.empty(w.shape(), DType::kF8E4M3),
                     ctx.empty({ceil_div(w.dim(0), 128), ceil_div(w.dim(1), 128)})};
  quantize_blocks(ctx, q.codes.view<f8e4m3, 2>(), q.scales.mat(), w.mat(), power_of_two);
  return q;
}

class GemmFp8 : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(PowerOfTwo, GemmFp8, ::testing::Bool());

TEST_P(GemmFp8, GoldenLinearForwardAndBackward) {
  const bool power_of_two = GetParam();
  const GoldenUnits golden;
  for (const Device device : all_devices()) {
    Machine machine(device);
    Context& ctx = machine.ctx();
    const Tensor x = golden.tensor("fp8.linear.x"), w = golden.tensor("fp8.linear.w");
    const Tensor dy = golden.tensor("fp8.linear.dy");
    const TileOptions activation{.power_of_two = power_of_two};
    const TileOptions gradient{.power_of_two = power_of_two, .amax_floor = false};
    const QuantizedOperand w_q = blocks(ctx, w, power_of_two);
    Tensor y = ctx.empty({x.dim(0), w.dim(0)}), dx = ctx.empty(x.shape()),
           dw = ctx.zeros(w.shape());
    gemm_fp8_nt(ctx, y.mat(), row_tiles(ctx, x, activation).operand(), w_q.operand());
    gemm_fp8_nn(ctx, dx.mat(), row_tiles(ctx, dy, gradient).operand(), w_q.operand());
    gemm_fp8_tn(ctx, dw.mat(), column_tiles(ctx, dy, gradient).operand(),
                column_tiles(ctx, x, activation).operand());
    const std::string prefix = power_of_two ? "fp8.linear_ue8m0." : "fp8.linear.";
    const Tolerance bound{
        .element = 1e-5, .frobenius = 1e-5, .cosine = 1e-9};  // of golden/README.md
    expect_close(y, golden.tensor(prefix + "y"), bound, "y");
    expect_close(dx, golden.tensor(prefix + "dx"), bound, "dx");
    expect_close(dw, golden.tensor(prefix + "dw"), bound, "dw");
  }
}

TEST_P(GemmFp8, GoldenProductOfTilesAndBlocks) {
  const GoldenUnits golden;
  for (const Device device : all_devices()) {
    Machine machine(device);
    Context& ctx = machine.ctx();
    const std::string suffix = GetParam() ? "_ue8m0" : "";
    const QuantizedOperand x =
        row_tiles(ctx, golden.tensor("fp8.tiles.x"), {.power_of_two = GetParam()});
    const QuantizedOperand w = blocks(ctx, golden.tensor("fp8.blocks.w"), GetParam());
    Tensor y = ctx.empty({6, 136});
    gemm_fp8_nt(ctx, y.mat(), x.operand(), w.operand());
    expect_close(y, golden.tensor("fp8.tiles" + suffix + ".matmul_blocks"),
                 {.element = 1e-5, .frobenius = 1e-5, .cosine = 1e-9}, "y");
  }
}

TEST(GemmFp8, WeightGradientAccumulates) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    Context& ctx = machine.ctx();
    Tensor x = ctx.empty({1, 1}), dw = ctx.empty({1, 1});
    x.flat<float>()[0] = 2.0F;
    dw.flat<float>()[0] = 5.0F;
    const QuantizedOperand q = column_tiles(ctx, x, {});
    gemm_fp8_tn(ctx, dw.mat(), q.operand(), q.operand());
    EXPECT_FLOAT_EQ(dw.flat<float>()[0], 9.0F);
  }
}

TEST(GemmFp8, RefusesScalesOfTheWrongGrid) {
  Machine machine(Device::kCpu);
  Context& ctx = machine.ctx();
  const QuantizedOperand tiles = row_tiles(ctx, ctx.zeros({3, 200}), {});
  const QuantizedOperand w = blocks(ctx, ctx.zeros({5, 200}), false);
  Tensor y = ctx.empty({3, 5});
  EXPECT_THROW(gemm_fp8_nt(ctx, y.mat(), tiles.operand(), tiles.operand()), ShapeError);
  EXPECT_THROW(gemm_fp8_nt(ctx, y.mat(), {tiles.operand().codes, w.operand().scales}, w.operand()),
               ShapeError);
}

}  // namespace
}  // namespace hadal::test
