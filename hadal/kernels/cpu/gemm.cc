// Cuts the products of ops/gemm.h and ops/grouped_gemm.h into parts for the threads. Which kernel
// multiplies depends on the number of rows alone, never on the cut, and no bit of a result on either.
#include "hadal/kernels/gemm.h"

#include <algorithm>
#include <vector>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/block_gemm.h"
#include "hadal/kernels/cpu/few_rows.h"

namespace hadal::cpu {
namespace {

// A part smaller than this (multiply-adds) costs more to hand out than to compute: about 2 us.
constexpr int64_t kLeastWork = 1 << 16;
// Parts of a thread: a slow core then leaves one to the others. Every part packs its own operands
// again, which two threads would feel more than the slower one of them.
int64_t parts_for(int n_threads) { return n_threads <= 2 ? n_threads : int64_t{2} * n_threads; }

// Cuts fall on multiples of the widest panel and tile, so that parts have no narrow edges of their own.
constexpr int64_t kPanelGrain = 32;
constexpr int64_t kRowGrain = 12;

int64_t grain_for(int64_t work_per_unit, int64_t multiple) {
  return round_up(ceil_div(kLeastWork, std::max<int64_t>(work_per_unit, 1)), multiple);
}

// The rows and columns of a part of c [m,n].
struct Steps {
  int64_t rows, cols;
};

// About `n_parts` parts, or all grains. Each packs its own rows of A and columns of B: of all grids
// with so many the one that packs least, which is near a square.
Steps steps_for(int64_t m, int64_t n, int64_t n_parts) {
  const int64_t most_rows = ceil_div(m, kRowGrain), most_cols = ceil_div(n, kPanelGrain);
  n_parts = std::min(n_parts, most_rows * most_cols);
  Steps best{m, n};
  int64_t least = -1;
  for (int64_t r = 1; r <= std::min(n_parts, most_rows); ++r) {
    const int64_t q = std::min(ceil_div(n_parts, r), most_cols);
    const int64_t packed = m * q + n * r;
    if (r * q < n_parts || (least >= 0 && packed >= least)) continue;
    least = packed;
    best = {round_up(ceil_div(m, r), kRowGrain), round_up(ceil_div(n, q), kPanelGrain)};
  }
  return best;
}

// One part of a product: some rows and columns of the result, of group e where there are groups.
struct Part {
  size_t e;
  int64_t row_begin, row_end, col_begin, col_end;
};

void append_parts(std::vector<Part>& parts, size_t e, int64_t first_row, int64_t m, int64_t n,
                  const Steps& steps) {
  for (int64_t r = 0; r < m; r += steps.rows) {
    for (int64_t c = 0; c < n; c += steps.cols) {
      parts.push_back({e, first_row + r, first_row + std::min(m, r + steps.rows), c,
                       std::min(n, c + steps.cols)});
    }
  }
}

// Multiply-adds of a part, so that all threads have some.
int64_t work_of_part(const ThreadPool& pool, int64_t total_work) {
  if (pool.n_threads() == 1) return std::max<int64_t>(total_work, 1);
  return std::max(kLeastWork, ceil_div(total_work, parts_for(pool.n_threads())));
}

// Calls part(row_begin, row_end, col_begin, col_end) for all of c [m,n], which sums k products for
// each of its elements.
template <class Body>
void parallel_parts(ThreadPool& pool, View<float, 2> c, int64_t k, const Body& part) {
  const int64_t work = c.size() * std::max<int64_t>(k, 1);
  std::vector<Part> parts;
  append_parts(parts, 0, 0, c.dim(0), c.dim(1),
               steps_for(c.dim(0), c.dim(1), ceil_div(work, work_of_part(pool, work))));
  pool.parallel_tasks(static_cast<int64_t>(parts.size()), [&](int64_t task, int) {
    const Part& each = parts[static_cast<size_t>(task)];
    part(each.row_begin, each.row_end, each.col_begin, each.col_end);
  });
}

// Few rows: the weight is cut, its reading is the cost. Many rows: by how much there is to compute.
std::vector<Part> cut_groups(const ThreadPool& pool, std::span<const int64_t> offsets,
                             int64_t n_cols, int64_t depth, int64_t few_rows) {
  const int64_t per_row = std::max<int64_t>(n_cols * depth, 1);
  const int64_t part_work = work_of_part(pool, offsets.back() * per_row);
  std::vector<Part> parts;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t n_rows = offsets[e + 1] - offsets[e];
    if (n_rows == 0) continue;
    const Steps steps = n_rows <= few_rows
                            ? Steps{n_rows, grain_for(depth * n_rows / 4, kPanelGrain)}
                            : steps_for(n_rows, n_cols, ceil_div(n_rows * per_row, part_work));
    append_parts(parts, e, offsets[e], n_rows, n_cols, steps);
  }
  return parts;
}

}  // namespace

void gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x, const WeightView& w,
             float beta) {
  const bool accumulate = beta != 0.0F;
  if (x.dim(0) > kFewRowsNt) {
    return parallel_parts(
        pool, y, w.cols, [&](int64_t row, int64_t row_end, int64_t col, int64_t col_end) {
          block_gemm_nt(y.rows(row, row_end).columns(col, col_end), x.rows(row, row_end),
                        w.row_range(col, col_end), accumulate);
        });
  }
  if (x.dim(0) == 0) return;
  pool.parallel_for(w.rows, grain_for(x.size(), 4), [&](int64_t begin, int64_t end, int) {
    few_rows_nt(y.columns(begin, end), x, w.row_range(begin, end), accumulate);
  });
}

void gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy, const WeightView& w,
             float beta) {
  const bool accumulate = beta != 0.0F;
  if (dy.dim(0) > kFewRowsNn) {
    return parallel_parts(pool, dx, w.rows,
                          [&](int64_t row, int64_t row_end, int64_t col, int64_t col_end) {
                            block_gemm(&dx(row, col), dx.stride(0), row_end - row, col_end - col,
                                       w.rows, Operand::of(dy.rows(row, row_end)),
                                       w.column_range(col, col_end), false, accumulate);
                          });
  }
  if (dy.dim(0) == 0) return;
  pool.parallel_for(
      w.cols, grain_for(dy.size(), kPanelGrain), [&](int64_t begin, int64_t end, int) {
        few_rows_nn(dx.columns(begin, end), dy, w.column_range(begin, end), accumulate);
      });
}

void gemm_tn(ThreadPool& pool, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x) {
  parallel_parts(
      pool, dw, x.dim(0), [&](int64_t row, int64_t row_end, int64_t col, int64_t col_end) {
        block_gemm(&dw(row, col), dw.stride(0), row_end - row, col_end - col, x.dim(0),
                   Operand::of(dy).transposed().at(row, 0), Operand::of(x).at(0, col), true);
      });
}

void grouped_gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets) {
  const std::vector<Part> parts = cut_groups(pool, offsets, y.dim(1), x.dim(1), kFewRowsNt);
  pool.parallel_tasks(static_cast<int64_t>(parts.size()), [&](int64_t task, int) {
    const Part& part = parts[static_cast<size_t>(task)];
    const View<float, 2> out =
        y.rows(part.row_begin, part.row_end).columns(part.col_begin, part.col_end);
    const View<const float, 2> in = x.rows(part.row_begin, part.row_end);
    const WeightView weight = w[part.e].row_range(part.col_begin, part.col_end);
    const bool few = offsets[part.e + 1] - offsets[part.e] <= kFewRowsNt;
    few ? few_rows_nt(out, in, weight, false) : block_gemm_nt(out, in, weight, false);
  });
}

void grouped_gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets, float beta) {
  const bool accumulate = beta != 0.0F;
  const std::vector<Part> parts = cut_groups(pool, offsets, dx.dim(1), dy.dim(1), kFewRowsNn);
  pool.parallel_tasks(static_cast<int64_t>(parts.size()), [&](int64_t task, int) {
    const Part& part = parts[static_cast<size_t>(task)];
    const View<float, 2> out =
        dx.rows(part.row_begin, part.row_end).columns(part.col_begin, part.col_end);
    const View<const float, 2> in = dy.rows(part.row_begin, part.row_end);
    const WeightView weight = w[part.e].column_range(part.col_begin, part.col_end);
    if (offsets[part.e + 1] - offsets[part.e] <= kFewRowsNn) {
      few_rows_nn(out, in, weight, accumulate);
    } else {
      block_gemm(out.data(), out.stride(0), out.dim(0), out.dim(1), in.dim(1), Operand::of(in),
                 weight, false, accumulate);
    }
  });
}

void grouped_gemm_tn(ThreadPool& pool, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets) {
  const int64_t m = dy.dim(1), n = x.dim(1), per_row = std::max<int64_t>(m * n, 1);
  const int64_t part_work = work_of_part(pool, x.dim(0) * per_row);
  std::vector<Part> parts;
  for (size_t e = 0; e < dw.size(); ++e) {
    const int64_t n_rows = offsets[e + 1] - offsets[e];
    if (n_rows == 0) continue;
    append_parts(parts, e, 0, m, n, steps_for(m, n, ceil_div(n_rows * per_row, part_work)));
  }
  pool.parallel_tasks(static_cast<int64_t>(parts.size()), [&](int64_t task, int) {
    const auto& [e, row, row_end, col, col_end] = parts[static_cast<size_t>(task)];
    const Operand dy_e = Operand::of(dy.rows(offsets[e], offsets[e + 1])).transposed();
    const Operand x_e = Operand::of(x.rows(offsets[e], offsets[e + 1]));
    block_gemm(&dw[e](row, col), dw[e].stride(0), row_end - row, col_end - col,
               offsets[e + 1] - offsets[e], dy_e.at(row, 0), x_e.at(0, col), true);
  });
}

}  // namespace hadal::cpu
