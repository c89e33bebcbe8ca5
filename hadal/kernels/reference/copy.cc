#include "hadal/kernels/copy.h"

namespace hadal::reference {

void copy_rows(View<float, 2> to, View<const float, 2> from) noexcept {
  const auto [T, D] = to.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < D; ++i) to(t, i) = from(t, i);
  }
}

void copy_row_ranges(View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges) noexcept {
  for (const RowRange& range : ranges) {
    copy_rows(to.rows(range.to, range.to + range.n), from.rows(range.from, range.from + range.n));
  }
}

void add_row_ranges(View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges) noexcept {
  for (const RowRange& range : ranges) {
    for (int64_t t = 0; t < range.n; ++t) {
      for (int64_t i = 0; i < to.dim(1); ++i) to(range.to + t, i) += from(range.from + t, i);
    }
  }
}

}  // namespace hadal::reference
