#include "hadal/model/mtp_rows.h"

#include <algorithm>
#include <utility>

#include "hadal/ops/copy.h"

namespace hadal {

Sequences shortened(const Sequences& sequences) {
  Sequences result;
  for (int64_t s = 0; s < sequences.n(); ++s) {
    result.offsets.push_back(result.tokens() + std::max<int64_t>(sequences.length(s) - 1, 0));
  }
  return result;
}

std::vector<int32_t> shifted_ids(std::span<const int32_t> ids, const Sequences& full,
                                 const Sequences& rows, int64_t depth) {
  std::vector<int32_t> result;
  result.reserve(static_cast<size_t>(rows.tokens()));
  for (int64_t s = 0; s < rows.n(); ++s) {
    if (rows.length(s) == 0) continue;
    const auto from = ids.subspan(static_cast<size_t>(full.begin(s) + depth),
                                  static_cast<size_t>(rows.length(s)));
    result.insert(result.end(), from.begin(), from.end());
  }
  return result;
}

// Where each sequence's rows stand in `to`, and their equals in `from`.
static std::vector<RowRange> leading_ranges(const Sequences& from, const Sequences& to) {
  std::vector<RowRange> ranges;
  for (int64_t s = 0; s < to.n(); ++s) {
    ranges.push_back({.to = to.begin(s), .from = from.begin(s), .n = to.length(s)});
  }
  return ranges;
}

Tensor leading_rows(Context& ctx, const Tensor& x, const Sequences& from, const Sequences& to) {
  Tensor result = ctx.empty({to.tokens(), x.dim(1)});
  copy_row_ranges(ctx, result.mat(), x.mat(), leading_ranges(from, to));
  return result;
}

void leading_rows_backward(Context& ctx, Tensor& dx, const Tensor& dy, const Sequences& from,
                           const Sequences& to) {
  std::vector<RowRange> ranges = leading_ranges(from, to);
  for (RowRange& range : ranges) std::swap(range.to, range.from);
  add_row_ranges(ctx, dx.mat(), dy.mat(), ranges);
}

}  // namespace hadal
