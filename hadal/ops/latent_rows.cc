#include "hadal/ops/latent_rows.h"

#include <algorithm>

#include "hadal/kernels/latent_rows.h"

namespace hadal {
namespace {

void check_rows(const LatentPagesView& pages, std::span<const int32_t> ids, int64_t first,
                View<const float, 2> rows, const char* what) {
  expect_shape(rows, {rows.dim(0), pages.layout.d_row()}, what);
  const int64_t n_pages = pages_for(first + rows.dim(0));
  if (first < 0 || n_pages > static_cast<int64_t>(ids.size())) {
    throw ShapeError(
        concat(what, ": rows ", first, " to ", first + rows.dim(0), " in ", ids.size(), " pages"));
  }
  for (const int32_t page : ids.first(static_cast<size_t>(n_pages))) {
    if (page < 0 || page >= pages.n_pages) {
      throw ShapeError(concat(what, ": page ", page, " of ", pages.n_pages));
    }
  }
}

// body(rows that lie one behind the other, first of them counted from `first`): one call a run of
// adjacent pages.
template <class Body>
void for_each_run(const LatentPagesView& pages, std::span<const int32_t> ids, int64_t first,
                  int64_t n, const Body& body) {
  const auto place = [&](int64_t j) {
    return ids[static_cast<size_t>(j / kPageRows)] * kPageRows + j % kPageRows;
  };
  for (int64_t j = first; j < first + n;) {
    int64_t next = std::min(first + n, (j / kPageRows + 1) * kPageRows);
    while (next < first + n && place(next) == place(next - 1) + 1) {
      next = std::min(first + n, next + kPageRows);
    }
    body(pages.rows(ids[static_cast<size_t>(j / kPageRows)], j % kPageRows, next - j), j - first);
    j = next;
  }
}

}  // namespace

void store_latent_rows(Context& ctx, const LatentPagesView& pages, std::span<const int32_t> ids,
                       int64_t first, View<const float, 2> rows) {
  check_rows(pages, ids, first, rows, "store_latent_rows");
  for_each_run(pages, ids, first, rows.dim(0), [&](const LatentRows& run, int64_t begin) {
    const View<const float, 2> part = rows.rows(begin, begin + run.n);
    switch (ctx.device) {
      case Device::kReference:
        return reference::store_latent_rows(run, part);
      case Device::kCpu:
        return cpu::store_latent_rows(ctx.pool, run, part);
      case Device::kCuda:
        return cuda::store_latent_rows(*ctx.stream, run, part);
    }
  });
}

void load_latent_rows(Context& ctx, View<float, 2> rows, const LatentPagesView& pages,
                      std::span<const int32_t> ids, int64_t first) {
  check_rows(pages, ids, first, rows, "load_latent_rows");
  for_each_run(pages, ids, first, rows.dim(0), [&](const LatentRows& run, int64_t begin) {
    const View<float, 2> part = rows.rows(begin, begin + run.n);
    switch (ctx.device) {
      case Device::kReference:
        return reference::load_latent_rows(part, run);
      case Device::kCpu:
        return cpu::load_latent_rows(ctx.pool, part, run);
      case Device::kCuda:
        return cuda::load_latent_rows(*ctx.stream, part, run);
    }
  });
}

}  // namespace hadal
