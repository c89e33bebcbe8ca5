// tensor/weight_view.h: a weight matrix [rows = out, cols = in] in whichever form it is stored, with
// its scales. Products take it, so that a checkpoint is multiplied as it lies in memory.
#pragma once

#include "hadal/tensor/quantized.h"

namespace hadal {

// How a weight is stored. Every switch over it names every form: a form that a kernel does not read
// is refused, never read as another one.
enum class WeightForm : uint8_t {
  kF32,
  kBF16,
  kF16,
  kFp8,  // E4M3 codes, F32 scales of 128x128 blocks
  kQ8,   // 8-bit codes, BF16 scales of 1x32 blocks
  kQ4,   // 4-bit codes, two a byte, BF16 scales of 1x32 blocks
};
std::string_view form_name(WeightForm form);  // "F32", "BF16", "F16", "FP8", "Q8", "Q4"
int64_t bits_per_value(WeightForm form);      // scales not counted
inline bool is_plain(WeightForm form) { return form <= WeightForm::kF16; }
// The form whose codes have this type; ShapeError if there is none.
WeightForm form_of_codes(DType dtype);

// The scales of a part of a matrix: that of the part's element (n, k) is
//   scale[(row0 + n) / tiling.rows, (col0 + k) / tiling.cols].
struct ScaleView {
  const void* data = nullptr;  // F32 (kFp8) or BF16 (kQ8, kQ4)
  int64_t row_stride = 0;      // elements
  Tiling tiling;
  int64_t row0 = 0, col0 = 0;  // where the part begins in the whole matrix
};

struct WeightView {
  WeightForm form = WeightForm::kF32;
  const void* data = nullptr;  // values, or codes
  int64_t rows = 0, cols = 0;
  int64_t row_stride = 0;  // elements of data: values, 8-bit codes, or pairs of 4-bit codes
  ScaleView scales;        // of codes

  WeightView() = default;
  WeightView(View<const float, 2> w)  // NOLINT(google-explicit-constructor): its F32 case
      : data(w.data()), rows(w.dim(0)), cols(w.dim(1)), row_stride(w.stride(0)) {}
  WeightView(View<float, 2> w)  // NOLINT(google-explicit-constructor)
      : WeightView(View<const float, 2>(w)) {}
  explicit WeightView(const Tensor& plain);  // F32, BF16 or F16; ShapeError else
  explicit WeightView(const Quantized& w);

  View<const float, 2> f32() const;  // ShapeError unless stored as F32

  WeightView row_range(int64_t begin, int64_t end) const;
  // REQUIRES an even `begin` of 4-bit codes.
  WeightView column_range(int64_t begin, int64_t end) const;
};

}  // namespace hadal
