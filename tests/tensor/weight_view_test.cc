// Parts of a stored matrix: data and scales move together, whatever the form.
#include "hadal/tensor/weight_view.h"

#include <gtest/gtest.h>

#include <array>

#include "hadal/tensor/param.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

// value(n, k) of a view as its header defines it, read without any kernel.
float value(const WeightView& w, int64_t n, int64_t k) {
  const auto at = static_cast<size_t>(n * w.row_stride + (w.form == WeightForm::kQ4 ? k / 2 : k));
  const ScaleView& s = w.scales;
  const auto scale_at = [&] {
    return static_cast<size_t>((s.row0 + n) / s.tiling.rows * s.row_stride +
                               (s.col0 + k) / s.tiling.cols);
  };
  switch (w.form) {
    case WeightForm::kF32:
      return static_cast<const float*>(w.data)[at];
    case WeightForm::kBF16:
      return to_float(static_cast<const bf16*>(w.data)[at]);
    case WeightForm::kF16:
      return to_float(static_cast<const f16*>(w.data)[at]);
    case WeightForm::kFp8:
      return to_float(static_cast<const f8e4m3*>(w.data)[at]) *
             static_cast<const float*>(s.data)[scale_at()];
    case WeightForm::kQ8:
      return static_cast<float>(static_cast<const int8_t*>(w.data)[at]) *
             to_float(static_cast<const bf16*>(s.data)[scale_at()]);
    case WeightForm::kQ4: {
      const uint8_t pair = static_cast<const uint8_t*>(w.data)[at];
      const int code = (k % 2 == 0 ? pair & 15 : pair >> 4) - 8;
      return static_cast<float>(code) * to_float(static_cast<const bf16*>(s.data)[scale_at()]);
    }
  }
  return 0.0F;
}

class WeightViewTest : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 300, kCols = 290;  // ragged last blocks of 128 and of 32

  // Every code and every scale another number, as far as their types have numbers.
  Quantized quantized(WeightForm form) {
    const bool fp8 = form == WeightForm::kFp8, q4 = form == WeightForm::kQ4;
    Quantized w;
    w.rows = kRows;
    w.cols = kCols;
    w.tiling = fp8 ? kWeightBlocks : kQuantBlocks;
    w.codes = Tensor::empty(arena_, fp8 ? DType::kF8E4M3 : (q4 ? DType::kU8 : DType::kI8),
                            {kRows, q4 ? (kCols + 1) / 2 : kCols});
    auto* bytes = static_cast<uint8_t*>(w.codes.raw());
    for (int64_t i = 0; i < w.codes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37 % 120);
    const Tensor::Shape shape = {(kRows + w.tiling.rows - 1) / w.tiling.rows,
                                 (kCols + w.tiling.cols - 1) / w.tiling.cols};
    w.scales = Tensor::empty(arena_, fp8 ? DType::kF32 : DType::kBF16, shape);
    for (size_t i = 0; i < static_cast<size_t>(w.scales.size()); ++i) {
      const float scale = 1.0F + static_cast<float>(i % 127) / 128.0F;
      if (fp8) {
        w.scales.flat<float>()[i] = scale;
      } else {
        w.scales.flat<bf16>()[i] = to_bf16(scale);
      }
    }
    return w;
  }
  static void expect_part(const WeightView& part, const WeightView& whole, int64_t row0,
                          int64_t col0) {
    for (int64_t n = 0; n < part.rows; ++n) {
      for (int64_t k = 0; k < part.cols; ++k) {
        ASSERT_EQ(value(part, n, k), value(whole, row0 + n, col0 + k)) << n << " " << k;
      }
    }
  }
  Arena arena_;
};

TEST_F(WeightViewTest, PartsHaveTheValuesAndScalesOfTheWhole) {
  for (const WeightForm form : {WeightForm::kFp8, WeightForm::kQ8, WeightForm::kQ4}) {
    SCOPED_TRACE(form_name(form));
    const Quantized w = quantized(form);
    const WeightView whole(w);
    EXPECT_EQ(whole.form, form);
    EXPECT_EQ(whole.rows, kRows);
    EXPECT_EQ(whole.cols, kCols);
    const WeightView rows = whole.row_range(127, 261);
    EXPECT_EQ(rows.rows, 134);
    expect_part(rows, whole, 127, 0);
    const WeightView columns = whole.column_range(130, 289);
    EXPECT_EQ(columns.cols, 159);
    expect_part(columns, whole, 0, 130);
    // A part of a part: where a block begins is counted from the whole matrix.
    expect_part(rows.column_range(50, 250).row_range(3, 9).column_range(84, 90), whole, 130, 134);
  }
}

TEST_F(WeightViewTest, PlainPartsCountInTheStoredType) {
  Tensor w = Tensor::zeros(arena_, DType::kBF16, {4, 6});
  for (size_t i = 0; i < 24; ++i) w.flat<bf16>()[i] = to_bf16(static_cast<float>(i));
  const WeightView whole(w), part = whole.row_range(2, 4);
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(value(part, 0, 0), 12.0F);
  expect_part(whole.column_range(3, 5), whole, 0, 3);
  expect_part(part.column_range(1, 6), whole, 2, 1);
  test::expect_refused<ShapeError>([&] { part.f32(); }, "weight: stored as BF16, want F32");
  const Tensor values = Tensor::zeros(arena_, DType::kF32, {4, 6});
  EXPECT_EQ(WeightView(values).row_range(1, 3).column_range(2, 4).f32().shape(),
            (View<const float, 2>::Shape{2, 2}));
}

TEST_F(WeightViewTest, CodesNeedTheirScales) {
  Quantized w = quantized(WeightForm::kFp8);
  test::expect_refused<ShapeError>([&] { WeightView{w.codes}; },
                                   "weight: codes of type F8_E4M3 without scales");
  w.scales = Tensor::zeros(arena_, DType::kBF16, w.scales.shape());
  test::expect_refused<ShapeError>([&] { WeightView{w}; }, "weight: FP8 with scales of type BF16");
  Quantized plain = quantized(WeightForm::kQ8);
  plain.codes = Tensor::zeros(arena_, DType::kF32, {kRows, kCols});
  test::expect_refused<ShapeError>([&] { WeightView{plain}; }, "weight: F32 with scales of type");
  test::expect_refused<ShapeError>([] { form_of_codes(DType::kI32); },
                                   "weight: no form has codes of type I32");
}

TEST_F(WeightViewTest, EveryFormHasANameAndASize) {
  const std::array<std::pair<WeightForm, int64_t>, 6> forms = {{{WeightForm::kF32, 32},
                                                                {WeightForm::kBF16, 16},
                                                                {WeightForm::kF16, 16},
                                                                {WeightForm::kFp8, 8},
                                                                {WeightForm::kQ8, 8},
                                                                {WeightForm::kQ4, 4}}};
  for (const auto& [form, bits] : forms) {
    EXPECT_EQ(bits_per_value(form), bits) << form_name(form);
    EXPECT_EQ(is_plain(form), bits >= 16) << form_name(form);
  }
  EXPECT_EQ(form_name(WeightForm::kFp8), "FP8");
  EXPECT_EQ(form_of_codes(DType::kU8), WeightForm::kQ4);
}

TEST_F(WeightViewTest, SharedQuantizedValuesAreOneCopy) {
  const Quantized w = quantized(WeightForm::kFp8);
  EXPECT_EQ(w.bytes(), kRows * kCols + 3 * 3 * 4);
  const int64_t before = arena_.bytes_in_use();
  const Quantized second = w.share();
  EXPECT_EQ(arena_.bytes_in_use(), before);
  EXPECT_EQ(second.codes.raw(), w.codes.raw());
  EXPECT_EQ(second.scales.raw(), w.scales.raw());
  EXPECT_EQ(second.tiling, kWeightBlocks);
  EXPECT_EQ(second.rows, kRows);
  EXPECT_EQ(second.cols, kCols);
}

TEST_F(WeightViewTest, AParamIsReadInItsWorkingForm) {
  Param param;
  param.master = Tensor::borrowed(DType::kF32, {kRows, kCols}, nullptr, nullptr);
  EXPECT_FALSE(param.has_values());
  param.working = quantized(WeightForm::kQ8);
  EXPECT_TRUE(param.has_values());
  EXPECT_EQ(param.weight().form, WeightForm::kQ8);
  EXPECT_EQ(param.shape(), (Tensor::Shape{kRows, kCols}));
  param.working = Tensor::zeros(arena_, DType::kF16, {kRows, kCols});
  EXPECT_EQ(param.weight().form, WeightForm::kF16);
  param.working = {};
  param.master = Tensor::zeros(arena_, DType::kF32, {kRows, kCols});
  EXPECT_TRUE(param.has_values());
  EXPECT_EQ(param.weight().form, WeightForm::kF32);
  param.allocate_grad(arena_);
  EXPECT_EQ(param.grad.shape(), param.shape());
}

}  // namespace
}  // namespace hadal
