// Linear and GroupedLinear: inputs rounded to E4M3 are kept as codes, and W reads the same codes.
#include "hadal/nn/linear.h"

#include <gtest/gtest.h>

#include "hadal/nn/grouped_linear.h"
#include "hadal/ops/gemm.h"
#include "hadal/ops/quantize.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"

namespace hadal::test {
namespace {

constexpr int64_t kRows = 21, kIn = 150, kOut = 34;  // two tiles a row, the second ragged

class LinearTest : public ::testing::Test {
 protected:
  Linear linear(Precision precision) {
    Linear result;
    result.weight.master = random_.random_rows(kOut, kIn, 12);
    result.weight.allocate_grad(random_.arena);
    result.precision = precision;
    return result;
  }
  // What E4M3 tiles leave of x.
  Tensor rounded(const Tensor& x, bool power_of_two) {
    Quantized tiles{ctx_.empty(x.shape(), DType::kF8E4M3), ctx_.empty({x.dim(0), 2}), kRowTiles,
                    x.dim(0), x.dim(1)};
    quantize_tiles(ctx_, tiles.codes.view<f8e4m3, 2>(), tiles.scales.mat(), x.mat(),
                   {.power_of_two = power_of_two});
    return dequantized(ctx_, tiles);
  }
  RandomModel random_{odd_config()};
  Context& ctx_ = random_.ctx;
};

TEST_F(LinearTest, RoundsItsInputWhereItsPrecisionSaysSo) {
  const Tensor x = random_.random_rows(kRows, kIn, 13);
  const Tensor plain = linear(Precision::kF32).forward(ctx_, x);
  const Tensor tiles = linear(Precision::kFp8Input).forward(ctx_, x);
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < plain.flat<float>().size(); ++i) {
    const double d = double{tiles.flat<float>()[i]} - double{plain.flat<float>()[i]};
    difference += d * d;
    norm += double{plain.flat<float>()[i]} * double{plain.flat<float>()[i]};
  }
  // E4M3 keeps 3 bits after the point: each factor moves by at most 1/16 of itself.
  EXPECT_GT(difference, 0.0);
  EXPECT_LT(difference, norm / 64.0);
}

TEST_F(LinearTest, EveryPassReadsTheRoundedInput) {
  const Tensor x = random_.random_rows(kRows, kIn, 13);
  const Tensor dy = random_.random_rows(kRows, kOut, 14);
  for (const Precision precision : {Precision::kFp8Input, Precision::kFp8InputPowerOfTwo}) {
    Linear rounding = linear(precision), plain = linear(Precision::kF32);
    const Tensor x_rounded = rounded(x, precision == Precision::kFp8InputPowerOfTwo);
    Linear::Saved saved, want;
    saved.x = rounding.input(ctx_, x);
    want.x = plain.input(ctx_, x_rounded);
    expect_close(rounding.forward(ctx_, saved.x), plain.forward(ctx_, want.x), Tolerance::exact(),
                 "y");
    Tensor elsewhere = ctx_.empty({kRows, kOut});
    rounding.forward_rows(ctx_, elsewhere.mat(), x.mat());
    expect_close(elsewhere, plain.forward(ctx_, want.x), Tolerance::exact(), "y of rows elsewhere");
    expect_close(rounding.backward_input(ctx_, dy.share(), saved),
                 plain.backward_input(ctx_, dy.share(), want), Tolerance::exact(), "dx");
    Products products{ctx_};
    rounding.backward_weight(products, std::move(saved));
    products.run();
    Tensor dw = ctx_.zeros({kOut, kIn});
    gemm_tn(ctx_, dw.mat(), dy.mat(), x_rounded.mat());
    expect_close(rounding.weight.grad, dw, Tolerance::exact(), "dW");
  }
}

TEST_F(LinearTest, RoundedRowsTakeAQuarterAndAreShared) {
  const Tensor x = random_.random_rows(kRows, kIn, 13);
  const LinearInput plain(ctx_, x, Precision::kF32), none;
  const LinearInput codes(ctx_, x, Precision::kFp8Input);
  EXPECT_FALSE(none.has_data());
  EXPECT_EQ(none.bytes(), 0);
  EXPECT_EQ(plain.bytes(), kRows * kIn * 4);
  EXPECT_EQ(codes.bytes(), kRows * kIn + kRows * 2 * 4);
  const int64_t before = ctx_.arena.bytes_in_use();
  const LinearInput reader = codes.share(), plain_reader = plain.share();
  EXPECT_EQ(ctx_.arena.bytes_in_use(), before);
  expect_close(reader.f32(ctx_), rounded(x, false), Tolerance::exact(), "shared codes");
  EXPECT_EQ(plain_reader.f32(ctx_).raw(), std::as_const(x).raw());
}

// Four experts of the same shapes as single linears; the first and third get no row.
class GroupedLinearTest : public LinearTest {
 protected:
  const std::vector<int64_t> offsets_ = {0, 0, 8, 8, kRows};

  std::vector<Linear> singles(LinearPrecision precision) {
    std::vector<Linear> result;
    for (uint64_t e = 0; e + 1 < offsets_.size(); ++e) {
      result.push_back({});
      result.back().weight.master = random_.random_rows(kOut, kIn, 20 + e);
      result.back().weight.allocate_grad(random_.arena);
      result.back().precision = precision;
      remake_working_weight(ctx_, result.back().weight, precision.products);
    }
    return result;
  }
  GroupedLinear grouped(const std::vector<Linear>& singles) {
    GroupedLinear result;
    result.precision = singles.front().precision;
    for (const Linear& single : singles) {
      result.weights.emplace_back();
      result.weights.back().master = single.weight.master.share();
      result.weights.back().allocate_grad(random_.arena);
      remake_working_weight(ctx_, result.weights.back(), result.precision.products);
    }
    return result;
  }
  Tensor rows(const Tensor& x, size_t e) {
    Tensor result = ctx_.empty({offsets_[e + 1] - offsets_[e], x.dim(1)});
    for (int64_t r = 0; r < result.dim(0); ++r) {
      std::ranges::copy(x.mat().row(offsets_[e] + r), result.mat().row(r).begin());
    }
    return result;
  }
};

TEST_F(GroupedLinearTest, IsOneLinearForEveryExpert) {
  const Tensor x = random_.random_rows(kRows, kIn, 13);
  const Tensor dy = random_.random_rows(kRows, kOut, 14);
  const auto columns = WeightGradientTiles::kColumns;
  for (const LinearPrecision precision :
       {LinearPrecision(Precision::kF32), LinearPrecision(Precision::kFp8Input),
        LinearPrecision(Precision::kFp8InputPowerOfTwo), LinearPrecision(Precision::kBf16),
        LinearPrecision(Precision::kFp8), LinearPrecision(Precision::kFp8F32Scales),
        LinearPrecision(Precision::kFp8, columns)}) {
    std::vector<Linear> single = singles(precision);
    GroupedLinear layer = grouped(single);
    EXPECT_EQ(layer.d_in(), kIn);
    EXPECT_EQ(layer.d_out(), kOut);
    const LinearInput in =
        LinearInput::of_groups(ctx_, precision.rounded_input(ctx_, x), x, precision, offsets_);
    const LinearInput gradient = layer.gradient(ctx_, dy, offsets_);
    Products products{ctx_};
    const Tensor y = layer.forward(products, in, offsets_);
    Tensor dx = ctx_.empty(x.shape()), twice = x.clone(ctx_.arena);
    layer.backward_input(products, dx, gradient, offsets_);
    layer.backward_input(products, twice, gradient, offsets_, /*accumulate=*/true);
    layer.backward_weight(products, gradient, in, offsets_);
    products.run();
    for (size_t e = 0; e < single.size(); ++e) {
      SCOPED_TRACE(concat("expert ", e));
      if (offsets_[e] == offsets_[e + 1]) {
        for (const float g : std::as_const(layer.weights[e].grad).flat<float>()) EXPECT_EQ(g, 0.0F);
        continue;
      }
      Linear::Saved saved;
      saved.x = single[e].input(ctx_, rows(x, e));
      Tensor twice_e = rows(x, e);
      expect_close(rows(y, e), single[e].forward(ctx_, saved.x), Tolerance::exact(), "y");
      expect_close(rows(dx, e), single[e].backward_input(ctx_, rows(dy, e), saved),
                   Tolerance::exact(), "dx");
      single[e].backward_input_add(ctx_, twice_e, rows(dy, e), saved);
      expect_close(rows(twice, e), twice_e, Tolerance::exact(), "dx, added");
      single[e].backward_weight(products, std::move(saved));
      products.run();
      expect_close(layer.weights[e].grad, single[e].weight.grad, Tolerance::exact(), "dW");
    }
  }
}

TEST_F(GroupedLinearTest, NoRowsAtAll) {
  std::vector<Linear> single = singles(Precision::kFp8Input);
  GroupedLinear layer = grouped(single);
  const std::vector<int64_t> none(offsets_.size(), 0);
  const LinearInput in = layer.input(ctx_, ctx_.empty({0, kIn}));
  Products products{ctx_};
  EXPECT_EQ(layer.forward(products, in, none).shape(), (Tensor::Shape{0, kOut}));
  Tensor dx = ctx_.empty({0, kIn});
  const LinearInput no_gradient = layer.gradient(ctx_, ctx_.empty({0, kOut}), none);
  layer.backward_input(products, dx, no_gradient, none);
  layer.backward_weight(products, no_gradient, in, none);
  products.run();
  for (const Param& weight : layer.weights) {
    for (const float g : weight.grad.flat<float>()) EXPECT_EQ(g, 0.0F);
  }
}

}  // namespace
}  // namespace hadal::test
