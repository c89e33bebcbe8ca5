// support/weights.h: random weights stored as F32, BF16 or F16, for tests of the products.
#pragma once

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

}  // namespace hadal::test
