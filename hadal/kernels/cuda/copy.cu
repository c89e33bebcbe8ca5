#include "hadal/kernels/copy.h"

#include <algorithm>
#include <vector>

#include "hadal/kernels/cuda/each.h"

namespace hadal::cuda {
namespace {

struct CopyRows {
  View<float, 2> to;
  View<const float, 2> from;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t t, int64_t i) const {
    return load<kWidth>(&from(t, i));
  }
  template <int kWidth>
  __device__ void store(int64_t t, int64_t i, const Pack<float, kWidth>& values) const {
    cuda::store(&to(t, i), values);
  }
};

// Row `begin` of all rows that move is the first of this range.
struct Piece {
  int64_t begin, to, from;
};

template <bool kAdds>
struct MoveRanges {
  View<float, 2> to;
  View<const float, 2> from;
  const Piece* pieces;
  int64_t n_pieces;

  __device__ Piece of_row(int64_t row) const {
    int64_t low = 0, high = n_pieces;  // pieces[low].begin <= row < pieces[high].begin
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (pieces[middle].begin <= row ? low : high) = middle;
    }
    return pieces[low];
  }
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t row, int64_t i) const {
    const Piece piece = of_row(row);
    Pack<float, kWidth> values = load<kWidth>(&from(piece.from + row - piece.begin, i));
    if constexpr (kAdds) {
      const auto old = load<kWidth>(&to(piece.to + row - piece.begin, i));
      for (int k = 0; k < kWidth; ++k) values.at[k] = old.at[k] + values.at[k];
    }
    return values;
  }
  template <int kWidth>
  __device__ void store(int64_t row, int64_t i, const Pack<float, kWidth>& values) const {
    const Piece piece = of_row(row);
    cuda::store(&to(piece.to + row - piece.begin, i), values);
  }
};

// How many of the ranges, from the first on, reach different rows of `to`: they may move at once.
size_t disjoint_ranges(std::span<const RowRange> ranges) {
  std::vector<RowRange> sorted(ranges.begin(), ranges.end());
  std::ranges::sort(sorted, {}, &RowRange::to);
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].to < sorted[i - 1].to + sorted[i - 1].n) return 1;
  }
  return ranges.size();
}

template <bool kAdds>
void move_ranges(const char* what, Stream& stream, View<float, 2> to, View<const float, 2> from,
                 std::span<const RowRange> ranges) {
  std::vector<RowRange> filled;
  std::ranges::copy_if(ranges, std::back_inserter(filled),
                       [](const RowRange& range) { return range.n > 0; });
  const size_t together = disjoint_ranges(filled);
  for (size_t first = 0; first < filled.size(); first += together) {
    std::vector<Piece> pieces;
    int64_t n_rows = 0;
    for (const RowRange& range : std::span(filled).subspan(first, together)) {
      pieces.push_back({n_rows, range.to, range.from});
      n_rows += range.n;
    }
    const Piece* on_card = own(stream).upload(std::span<const Piece>(pieces));
    each_of_rows(what, stream, n_rows, to.dim(1), in_fours(to) && in_fours(from),
                 MoveRanges<kAdds>{to, from, on_card, static_cast<int64_t>(pieces.size())});
  }
}

}  // namespace

void copy_rows(Stream& stream, View<float, 2> to, View<const float, 2> from) {
  each_of_rows("copy_rows", stream, to.dim(0), to.dim(1), in_fours(to) && in_fours(from),
               CopyRows{to, from});
}

void copy_row_ranges(Stream& stream, View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges) {
  move_ranges<false>("copy_row_ranges", stream, to, from, ranges);
}

void add_row_ranges(Stream& stream, View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges) {
  move_ranges<true>("add_row_ranges", stream, to, from, ranges);
}

}  // namespace hadal::cuda
