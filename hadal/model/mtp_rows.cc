#include "hadal/model/mtp_rows.h"

#include <algorithm>

#include "hadal/ops/elementwise.h"

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

Tensor leading_rows(Context& ctx, const Tensor& x, const Sequences& from, const Sequences& to) {
  const auto width = static_cast<size_t>(x.dim(1));
  Tensor result = ctx.empty({to.tokens(), x.dim(1)});
  for (int64_t s = 0; s < to.n(); ++s) {
    const auto rows = x.flat<float>().subspan(static_cast<size_t>(from.begin(s)) * width,
                                              static_cast<size_t>(to.length(s)) * width);
    std::ranges::copy(
        rows, result.flat<float>().begin() + static_cast<std::ptrdiff_t>(to.begin(s) * x.dim(1)));
  }
  return result;
}

void leading_rows_backward(Context& ctx, Tensor& dx, const Tensor& dy, const Sequences& from,
                           const Sequences& to) {
  const auto width = static_cast<size_t>(dx.dim(1));
  for (int64_t s = 0; s < to.n(); ++s) {
    const size_t count = static_cast<size_t>(to.length(s)) * width;
    add(ctx, dx.flat<float>().subspan(static_cast<size_t>(from.begin(s)) * width, count),
        dy.flat<float>().subspan(static_cast<size_t>(to.begin(s)) * width, count));
  }
}

}  // namespace hadal
