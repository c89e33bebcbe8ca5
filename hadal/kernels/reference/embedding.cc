#include "hadal/kernels/embedding.h"

namespace hadal::reference {
namespace {

template <class Stored>
void copy_rows(View<float, 2> x, const WeightView& w, std::span<const int32_t> ids) noexcept {
  const auto [T, D] = x.shape();
  for (int64_t t = 0; t < T; ++t) {
    const Stored* row =
        static_cast<const Stored*>(w.data) + ids[static_cast<size_t>(t)] * w.row_stride;
    for (int64_t i = 0; i < D; ++i) {
      if constexpr (std::is_same_v<Stored, float>) {
        x(t, i) = row[i];
      } else {
        x(t, i) = to_float(row[i]);
      }
    }
  }
}

}  // namespace

void embedding_forward(View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids) noexcept {
  if (w.dtype == DType::kBF16) return copy_rows<bf16>(x, w, ids);
  if (w.dtype == DType::kF16) return copy_rows<f16>(x, w, ids);
  copy_rows<float>(x, w, ids);
}

template <class Real>
void embedding_backward_weight(View<Real, 2> dw, View<const Real, 2> dx,
                               std::span<const int32_t> ids) noexcept {
  const auto [T, D] = dx.shape();
  for (int64_t t = 0; t < T; ++t) {
    const int64_t id = ids[static_cast<size_t>(t)];
    for (int64_t i = 0; i < D; ++i) dw(id, i) += dx(t, i);
  }
}

template void embedding_backward_weight<float>(View<float, 2>, View<const float, 2>,
                                               std::span<const int32_t>) noexcept;
template void embedding_backward_weight<double>(View<double, 2>, View<const double, 2>,
                                                std::span<const int32_t>) noexcept;

}  // namespace hadal::reference
