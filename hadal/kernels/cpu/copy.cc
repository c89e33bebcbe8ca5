#include "hadal/kernels/copy.h"

#include <cstring>

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/elementwise.h"

namespace hadal::cpu {
namespace {

// One thread's share: a single block of memory where neither side has gaps between its rows.
void copy_block(View<float, 2> to, View<const float, 2> from) {
  if (to.size() == 0) return;  // an empty side may be a null pointer, which memcpy must not see
  if (to.is_contiguous() && from.is_contiguous()) {
    std::memcpy(to.data(), from.data(), static_cast<size_t>(to.size()) * sizeof(float));
    return;
  }
  const size_t row_bytes = static_cast<size_t>(to.dim(1)) * sizeof(float);
  for (int64_t t = 0; t < to.dim(0); ++t) {
    std::memcpy(to.row(t).data(), from.row(t).data(), row_bytes);
  }
}

}  // namespace

void copy_rows(ThreadPool& pool, View<float, 2> to, View<const float, 2> from) {
  pool.parallel_for(to.dim(0), row_grain(to.dim(1)), [&](int64_t begin, int64_t end, int) {
    copy_block(to.rows(begin, end), from.rows(begin, end));
  });
}

// Ranges are sequences: few, and long or too short to share out. So threads meet within a range.
void copy_row_ranges(ThreadPool& pool, View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges) {
  for (const RowRange& range : ranges) {
    copy_rows(pool, to.rows(range.to, range.to + range.n),
              from.rows(range.from, range.from + range.n));
  }
}

void add_row_ranges(ThreadPool& pool, View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges) {
  for (const RowRange& range : ranges) {
    pool.parallel_for(range.n, row_grain(to.dim(1)), [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        reference::add(to.row(range.to + t), from.row(range.from + t));
      }
    });
  }
}

}  // namespace hadal::cpu
