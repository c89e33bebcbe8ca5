// support/weights.h: random weights in every form, for tests of the products.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "hadal/tensor/weight_view.h"
#include "tests/support/compare.h"

namespace hadal::test {

class StoredWeight {
 public:
  // Row stride `cols + gap`: with a gap the rows are a slice of a wider matrix.
  StoredWeight(DType dtype, int64_t rows, int64_t cols, uint64_t seed, int64_t gap = 0) {
    const std::vector<float> values = random_values(rows * (cols + gap), seed);
    const size_t bytes = values.size() * static_cast<size_t>(dtype_bytes(dtype));
    bytes_.resize(bytes + 1);  // never empty: a view of no rows still has an address
    for (size_t i = 0; i < values.size(); ++i) store(dtype, i, values[i]);
    view_.form = form_of_codes(dtype);
    view_.data = bytes_.data();
    view_.rows = rows;
    view_.cols = cols;
    view_.row_stride = cols + gap;
  }
  const WeightView& view() const { return view_; }

 private:
  void store(DType dtype, size_t i, float value) {
    if (dtype == DType::kF32) reinterpret_cast<float*>(bytes_.data())[i] = value;
    if (dtype == DType::kBF16) reinterpret_cast<bf16*>(bytes_.data())[i] = to_bf16(value);
    if (dtype == DType::kF16) reinterpret_cast<f16*>(bytes_.data())[i] = to_f16(value);
  }

  std::vector<char> bytes_;
  WeightView view_;
};

// A weight of random codes and scales, every code of its form but NaN among them; its rows and
// columns are a part of a matrix that begins `row0` rows and `col0` columns earlier (an even number
// of 4-bit codes).
class CodedWeight {
 public:
  CodedWeight(WeightForm form, int64_t rows, int64_t cols, uint64_t seed, Tiling tiling,
              int64_t row0 = 0, int64_t col0 = 0) {
    const int64_t all_rows = row0 + rows, all_cols = col0 + cols;
    const int64_t row_bytes = form == WeightForm::kQ4 ? (all_cols + 1) / 2 : all_cols;
    for (const float value : random_values(all_rows * row_bytes + 1, seed)) {
      const auto code = static_cast<uint8_t>(std::bit_cast<uint32_t>(value) >> 3);
      codes_.push_back(form == WeightForm::kFp8 && code % 128 == 127 ? uint8_t{0} : code);
    }
    const int64_t n_row = (all_rows + tiling.rows - 1) / tiling.rows;
    const int64_t n_col = (all_cols + tiling.cols - 1) / tiling.cols;
    for (const float value : random_values(n_row * n_col, seed + 1)) {
      f32_scales_.push_back(value);
      bf16_scales_.push_back(to_bf16(value));
    }
    WeightView all;
    all.form = form;
    all.data = codes_.data();
    all.rows = all_rows;
    all.cols = all_cols;
    all.row_stride = row_bytes;
    all.scales = {form == WeightForm::kFp8 ? static_cast<const void*>(f32_scales_.data())
                                           : static_cast<const void*>(bf16_scales_.data()),
                  n_col, tiling};
    view_ = all.row_range(row0, all_rows).column_range(col0, all_cols);
  }
  CodedWeight(CodedWeight&&) = default;
  const WeightView& view() const { return view_; }

 private:
  std::vector<uint8_t> codes_;
  std::vector<float> f32_scales_;
  std::vector<bf16> bf16_scales_;
  WeightView view_;
};

}  // namespace hadal::test
