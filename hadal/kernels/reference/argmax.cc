#include "hadal/kernels/argmax.h"

namespace hadal::reference {

void argmax_rows(std::span<int64_t> index, View<const float, 2> x) noexcept {
  const auto [T, D] = x.shape();
  for (int64_t t = 0; t < T; ++t) {
    int64_t best = 0;
    for (int64_t i = 1; i < D; ++i) {
      if (x(t, i) > x(t, best)) best = i;
    }
    index[static_cast<size_t>(t)] = best;
  }
}

}  // namespace hadal::reference
