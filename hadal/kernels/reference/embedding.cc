#include "hadal/kernels/embedding.h"

#include "hadal/kernels/reference/widen.h"

namespace hadal::reference {
void embedding_forward(View<float, 2> x, const WeightView& w, std::span<const int32_t> ids) {
  for (int64_t t = 0; t < x.dim(0); ++t) widen_row(x.row(t), w, ids[static_cast<size_t>(t)]);
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
