// Linear in BF16 and FP8 training: its three products against F64 products of the rounded operands, and
// what waits for the way back.
#include <gtest/gtest.h>

#include <cmath>

#include "hadal/nn/grouped_linear.h"
#include "hadal/nn/linear.h"
#include "hadal/ops/copy.h"
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

// Tiles of 128 tokens never span two experts, whose tokens may be of another size altogether.
TEST_F(LinearPrecisionTest, AnExpertsWeightGradientIsThatOfItsTokensAlone) {
  const std::vector<int64_t> offsets = {0, 1, 130, 300};
  const int64_t d_in = 33, d_out = 20;
  const auto grouped_rows = [&](int64_t width, uint64_t seed) {
    Tensor rows = random_.random_rows(300, width, seed);
    for (int64_t t = 0; t < 300; ++t) {
      for (float& each : rows.mat().row(t)) each *= t < 1 ? 1e6F : t < 130 ? 1.0F : 1e-6F;
    }
    return rows;
  };
  const Tensor x = grouped_rows(d_in, 2), dy = grouped_rows(d_out, 3);
  for (const auto path : {WeightGradientTiles::kRetiled, WeightGradientTiles::kColumns}) {
    const LinearPrecision precision{Precision::kFp8, path};
    GroupedLinear experts;
    experts.precision = precision;
    for (uint64_t e = 0; e < 3; ++e) {
      Param& weight = experts.weights.emplace_back();
      weight.master = random_.random_rows(d_out, d_in, 4 + e);
      weight.allocate_grad(random_.arena);
    }
    Products products{ctx_};
    experts.backward_weight(
        products, experts.gradient(ctx_, dy, offsets),
        LinearInput::of_groups(ctx_, precision.rounded_input(ctx_, x), x, precision, offsets),
        offsets);
    products.run();
    for (size_t e = 0; e < 3; ++e) {
      const auto rows_of = [&](const Tensor& all) {
        Tensor rows = ctx_.empty({offsets[e + 1] - offsets[e], all.dim(1)});
        copy_rows(ctx_, rows.mat(), all.mat().rows(offsets[e], offsets[e + 1]));
        return rows;
      };
      Linear alone = linear({1, d_in, d_out}, precision);
      Linear::Saved saved;
      saved.x = alone.input(ctx_, rows_of(x));
      saved.dy = LinearInput::gradient(ctx_, rows_of(dy), precision);
      alone.backward_weight(products, std::move(saved));
      products.run();
      expect_close(experts.weights[e].grad, alone.weight.grad, Tolerance::exact(), "dW");
    }
  }
}

// One list of products may hold both: they read other tiles of the same rows.
TEST_F(LinearPrecisionTest, OperandsOfRowsAndOfColumnsAreTwo) {
  const LinearInput x(ctx_, random_.random_rows(130, 40, 2), Precision::kFp8);
  Products products{ctx_};
  const auto rows = products.keep(x);
  const auto columns = products.keep_for_weight_gradient(x, Precision::kFp8);
  EXPECT_NE(columns.data(), rows.data());
  EXPECT_EQ(products.keep(x).data(), rows.data());  // widened once
}

TEST_F(LinearPrecisionTest, NormsReadTheirInputAsItIsKept) {
  const Tensor x = random_.random_rows(7, 40, 2);
  const Tensor rounded = LinearPrecision(Precision::kBf16).kept_stream(ctx_, x).f32(ctx_);
  RmsNorm& norm = random_.model.layers[0].attn_norm;
  norm.precision = Precision::kBf16;
  RmsNorm::Saved saved, dropped;
  const Tensor y = norm.forward(ctx_, x, saved);
  expect_close(y, norm.forward(ctx_, rounded, dropped), Tolerance::exact(), "y");
  expect_close(norm.recompute(ctx_, saved), y, Tolerance::exact(), "y again");
}

// What the engine caches is what the trainer's attention read.
TEST_F(LinearPrecisionTest, CachedLatentsAreRoundedAsTheTrainersAre) {
  Mla& attention = random_.model.layers[0].attn;
  attention.w_ukv.precision = Precision::kBf16;
  const Tensor x = random_.random_rows(5, 40, 2);
  random_.model.ensure_rope(random_.arena, 8);
  const std::vector<int32_t> positions = {0, 1, 2, 3, 4};
  const Tensor rows =
      attention.latent_rows(ctx_, attention.w_dkv.input(ctx_, x), random_.model.rope, positions);
  const auto k_rope = rows.mat().columns(attention.kv_lora_rank, rows.dim(1));
  for (int64_t t = 0; t < 5; ++t) {
    for (int64_t i = 0; i < k_rope.dim(1); ++i) {
      EXPECT_EQ(k_rope(t, i), to_float(to_bf16(k_rope(t, i)))) << t << " " << i;
    }
  }
}

TEST_F(LinearPrecisionTest, WhatWaitsBesideInputsTakesItsForm) {
  const LinearPrecision fp8 = Precision::kFp8;
  const Tensor x = random_.random_rows(16, 512, 2);
  const auto bytes_a_value = [&](const KeptRows& rows) {
    return static_cast<double>(rows.bytes()) / static_cast<double>(x.size());
  };
  EXPECT_LE(bytes_a_value(fp8.kept_swiglu_input(ctx_, x)), 1.04);
  EXPECT_LE(bytes_a_value(fp8.kept_attention_output(ctx_, x, fp8.rounded_input(ctx_, x))), 1.54);
  EXPECT_EQ(bytes_a_value(fp8.kept_stream(ctx_, x)), 2.0);
  EXPECT_EQ(bytes_a_value(LinearPrecision().kept_attention_output(ctx_, x, KeptRows())), 4.0);
  const LinearPrecision bf16 = Precision::kBf16;
  const KeptRows rounded = bf16.rounded_input(ctx_, x);
  EXPECT_EQ(bf16.kept_attention_output(ctx_, x, rounded).id(), rounded.id());  // one for both
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
