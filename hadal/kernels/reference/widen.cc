#include "hadal/kernels/reference/widen.h"

namespace hadal::reference {
namespace {

template <class Stored>
void widen(std::vector<float>& values, const WeightView& w) {
  const Stored* stored = static_cast<const Stored*>(w.data);
  for (int64_t n = 0; n < w.rows; ++n) {
    for (int64_t k = 0; k < w.cols; ++k) {
      values[static_cast<size_t>(n * w.cols + k)] = to_float(stored[n * w.row_stride + k]);
    }
  }
}

}  // namespace

Widened::Widened(const WeightView& w) {
  if (w.dtype == DType::kF32) {
    view_ = w.f32();
    return;
  }
  values_.resize(static_cast<size_t>(w.rows * w.cols));
  if (w.dtype == DType::kBF16) {
    widen<bf16>(values_, w);
  } else {
    widen<f16>(values_, w);
  }
  view_ = View<const float, 2>(values_.data(), {w.rows, w.cols});
}

}  // namespace hadal::reference
