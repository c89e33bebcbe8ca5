// Linear in BF16 and FP8 training: its three products against F64 products of the rounded operands, and
// what waits for the way back.
#include <gtest/gtest.h>

#include "hadal/nn/linear.h"
#include "hadal/ops/quantize.h"
#include "tests/nn/f64_products.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"

namespace hadal::test {
namespace {

struct Shape {
  int64_t tokens, in, out;
};

class LinearPrecisionTest : public ::testing::Test {
 protected:
  Linear linear(const Shape& shape, LinearPrecision precision) {
    Linear result;
    result.weight.master = random_.random_rows(shape.out, shape.in, 1);
    result.weight.allocate_grad(random_.arena);
    result.precision = precision;
    remake_working_weight(ctx_, result.weight, precision.products);
    return result;
  }
  Tensor tiles(const Tensor& x, Tiling tiling, bool power_of_two) {
    return quantised_values(ctx_, x, tiling, power_of_two);
  }
  // F, B and W, each against the F64 product of these operands.
  void check(Linear& layer, const Shape& s, const Tensor& x, const Tensor& dy, const Tensor& w,
             const Tensor& x_rows, const Tensor& dy_rows, const Tensor& x_columns,
             const Tensor& dy_columns) {
    const auto [T, K, N] = s;
    Linear::Saved saved;
    saved.x = layer.input(ctx_, x);
    const Tensor y = layer.forward(ctx_, saved.x);
    const Tensor dx = layer.backward_input(ctx_, dy.share(), saved);
    Products products{ctx_};
    layer.backward_weight(products, std::move(saved));
    products.run();
    expect_within_bound(y, f64_product(T, N, K, x_rows.mat(), w.mat()), K, "y = x W^T");
    const auto w_turned = [&](int64_t k, int64_t n) { return w.mat()(n, k); };
    expect_within_bound(dx, f64_product(T, K, N, dy_rows.mat(), w_turned), N, "dx = dy W");
    const auto dy_turned = [&](int64_t n, int64_t t) { return dy_columns.mat()(t, n); };
    const auto x_turned = [&](int64_t k, int64_t t) { return x_columns.mat()(t, k); };
    expect_within_bound(layer.weight.grad, f64_product(N, K, T, dy_turned, x_turned), T,
                        "dW = dy^T x");
  }
  RandomModel random_{odd_config()};
  Context& ctx_ = random_.ctx;
};

const std::vector<Shape> kShapes = {{1, 1, 1}, {5, 130, 257}, {129, 128, 64}, {200, 300, 131}};

TEST_F(LinearPrecisionTest, Fp8ProductsAreThoseOfTheQuantisedOperands) {
  for (const Shape& s : kShapes) {
    for (const bool power_of_two : {true, false}) {
      for (const auto path : {WeightGradientTiles::kRetiled, WeightGradientTiles::kColumns}) {
        SCOPED_TRACE(concat(s.tokens, "x", s.in, "x", s.out, power_of_two ? ", 2^n" : ", f32"));
        Linear layer = linear(s, {power_of_two ? Precision::kFp8 : Precision::kFp8F32Scales, path});
        const Tensor x = random_.random_rows(s.tokens, s.in, 2);
        Tensor dy = random_.random_rows(s.tokens, s.out, 3);
        for (float& each : dy.flat<float>()) each *= 1e-7F;  // a floor would make it subnormal
        const Tensor x_rows = tiles(x, kRowTiles, power_of_two);
        const Tensor dy_rows = tiles(dy, kRowTiles, power_of_two);
        const bool columns = path == WeightGradientTiles::kColumns;
        check(layer, s, x, dy, tiles(layer.weight.master, kWeightBlocks, power_of_two), x_rows,
              dy_rows, tiles(columns ? x : x_rows, kColumnTiles, power_of_two),
              tiles(columns ? dy : dy_rows, kColumnTiles, power_of_two));
      }
    }
  }
}

TEST_F(LinearPrecisionTest, Bf16ProductsAreThoseOfRoundedOperands) {
  const auto rounded = [&](const Tensor& x) {
    Tensor result = x.clone(random_.arena);
    for (float& each : result.flat<float>()) each = to_float(to_bf16(each));
    return result;
  };
  for (const Shape& s : kShapes) {
    Linear layer = linear(s, Precision::kBf16);
    const Tensor x = random_.random_rows(s.tokens, s.in, 2);
    const Tensor dy = random_.random_rows(s.tokens, s.out, 3);
    const Tensor x_rounded = rounded(x), dy_rounded = rounded(dy);
    check(layer, s, x, dy, rounded(layer.weight.master), x_rounded, dy_rounded, x_rounded,
          dy_rounded);
  }
}

TEST_F(LinearPrecisionTest, RowsWaitInTheFormInWhichTheyWereMultiplied) {
  const Shape s{64, 256, 384};
  const Tensor x = random_.random_rows(s.tokens, s.in, 2);
  const Tensor dy = random_.random_rows(s.tokens, s.out, 3);
  struct Case {
    LinearPrecision precision;
    int64_t x_bytes, dy_bytes;
  };
  const int64_t in = s.tokens * s.in, out = s.tokens * s.out;
  const auto columns = WeightGradientTiles::kColumns;
  for (const Case& c :
       {Case{Precision::kF32, in * 4, out * 4}, Case{Precision::kBf16, in * 2, out * 2},
        Case{Precision::kFp8, in + in / 128 * 2, out + out / 128 * 2},
        Case{Precision::kFp8F32Scales, in + in / 128 * 4, out + out / 128 * 4},
        // one band of scales of 128 tokens, of which there are 64
        Case{{Precision::kFp8, columns}, in + s.in * 4, out + s.out * 4}}) {
    Linear layer = linear(s, c.precision);
    Linear::Saved saved;
    saved.x = layer.input(ctx_, x).for_weight_gradient();
    layer.backward_input(ctx_, dy.share(), saved);
    EXPECT_EQ(saved.x.bytes(), c.x_bytes);
    EXPECT_EQ(saved.dy.bytes(), c.dy_bytes);
  }
}

TEST_F(LinearPrecisionTest, WorkingWeightsComeFromTheMasterAlone) {
  const Shape s{1, 300, 260};
  const int64_t values = s.in * s.out;
  Linear layer = linear(s, Precision::kF32);
  const int64_t before = ctx_.arena.bytes_in_use();
  remake_working_weight(ctx_, layer.weight, Precision::kFp8);
  // Codes and 3x3 scales; blocks of the arena are rounded up. A BF16 copy would be twice that.
  EXPECT_LE(ctx_.arena.bytes_in_use() - before, values + values / 8 + 512);
  const int64_t with_codes = ctx_.arena.bytes_in_use(), peak = ctx_.arena.peak_bytes_in_use();
  layer.weight.master.mat()(0, 0) = 100.0F;
  remake_working_weight(ctx_, layer.weight, Precision::kFp8);  // in place
  EXPECT_EQ(ctx_.arena.bytes_in_use(), with_codes);
  EXPECT_EQ(ctx_.arena.peak_bytes_in_use(), peak);
  const Tensor codes = dequantized(ctx_, std::get<Quantized>(layer.weight.working));
  EXPECT_NEAR(codes.mat()(0, 0), 100.0F, 100.0F / 16);
}

}  // namespace
}  // namespace hadal::test
