// Cuts the products of ops/gemm.h and ops/grouped_gemm.h into parts for the threads. Which kernel
// multiplies depends on the number of rows alone, never on the cut: results repeat for any thread
// count.
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
// Cuts fall on multiples of the widest panel, so that parts have no narrow edges of their own.
constexpr int64_t kPanelGrain = 32;
constexpr int64_t kRowGrain = 12;
// Rows of one task of a group: enough to repay packing the weight again.
constexpr int64_t kGroupRows = 512;

int64_t grain_for(int64_t work_per_unit, int64_t multiple) {
  return round_up(ceil_div(kLeastWork, std::max<int64_t>(work_per_unit, 1)), multiple);
}

// c (+)= a b for c [m,n], cut along its longer axis.
void parallel_block_gemm(ThreadPool& pool, View<float, 2> c, const Operand& a, const Operand& b,
                         int64_t k, bool accumulate) {
  const int64_t m = c.dim(0), n = c.dim(1), ldc = c.stride(0);
  if (m >= n || m >= pool.n_threads() * kGroupRows) {
    pool.parallel_for(m, grain_for(n * k, kRowGrain), [&](int64_t begin, int64_t end, int) {
      block_gemm(c.data() + begin * ldc, ldc, end - begin, n, k, a.at(begin, 0), b, accumulate);
    });
  } else {
    pool.parallel_for(n, grain_for(m * k, kPanelGrain), [&](int64_t begin, int64_t end, int) {
      block_gemm(c.data() + begin, ldc, m, end - begin, k, a, b.at(0, begin), accumulate);
    });
  }
}

// One part of a grouped product: some rows of group e and some columns of the result.
struct Part {
  size_t e;
  int64_t row_begin, row_end, col_begin, col_end;
};

// Few rows: the weight is cut, its reading is the cost. Many rows: the rows are cut.
std::vector<Part> cut_groups(std::span<const int64_t> offsets, int64_t n_cols, int64_t depth,
                             int64_t few_rows) {
  std::vector<Part> parts;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t begin = offsets[e], n_rows = offsets[e + 1] - begin;
    if (n_rows == 0) continue;
    if (n_rows <= few_rows) {
      const int64_t step = grain_for(depth * n_rows / 4, kPanelGrain);
      for (int64_t c = 0; c < n_cols; c += step) {
        parts.push_back({e, begin, begin + n_rows, c, std::min(n_cols, c + step)});
      }
    } else {
      const int64_t step = round_up(ceil_div(n_rows, ceil_div(n_rows, kGroupRows)), kRowGrain);
      for (int64_t r = 0; r < n_rows; r += step) {
        parts.push_back({e, begin + r, begin + std::min(n_rows, r + step), 0, n_cols});
      }
    }
  }
  return parts;
}

}  // namespace

void gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x, const WeightView& w,
             float beta) {
  const bool accumulate = beta != 0.0F;
  if (x.dim(0) > kFewRowsNt) {
    return parallel_block_gemm(pool, y, Operand::of(x), Operand::of(w).transposed(), w.cols,
                               accumulate);
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
    return parallel_block_gemm(pool, dx, Operand::of(dy), Operand::of(w), w.rows, accumulate);
  }
  if (dy.dim(0) == 0) return;
  pool.parallel_for(w.cols, grain_for(dy.size(), kPanelGrain),
                    [&](int64_t begin, int64_t end, int) {
                      few_rows_nn(dx.columns(begin, end), dy, w.column_range(begin, end), accumulate);
                    });
}

void gemm_tn(ThreadPool& pool, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x) {
  parallel_block_gemm(pool, dw, Operand::of(dy).transposed(), Operand::of(x), x.dim(0), true);
}

void grouped_gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets) {
  const std::vector<Part> parts = cut_groups(offsets, y.dim(1), x.dim(1), kFewRowsNt);
  pool.parallel_tasks(static_cast<int64_t>(parts.size()), [&](int64_t task, int) {
    const Part& part = parts[static_cast<size_t>(task)];
    const View<float, 2> out = y.rows(part.row_begin, part.row_end);
    const View<const float, 2> in = x.rows(part.row_begin, part.row_end);
    if (offsets[part.e + 1] - offsets[part.e] <= kFewRowsNt) {
      few_rows_nt(out.columns(part.col_begin, part.col_end), in,
                  w[part.e].row_range(part.col_begin, part.col_end), false);
    } else {
      block_gemm(out.data(), out.stride(0), out.dim(0), out.dim(1), in.dim(1), Operand::of(in),
                 Operand::of(w[part.e]).transposed(), false);
    }
  });
}

void grouped_gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets, float beta) {
  const bool accumulate = beta != 0.0F;
  const std::vector<Part> parts = cut_groups(offsets, dx.dim(1), dy.dim(1), kFewRowsNn);
  pool.parallel_tasks(static_cast<int64_t>(parts.size()), [&](int64_t task, int) {
    const Part& part = parts[static_cast<size_t>(task)];
    const View<float, 2> out = dx.rows(part.row_begin, part.row_end);
    const View<const float, 2> in = dy.rows(part.row_begin, part.row_end);
    if (offsets[part.e + 1] - offsets[part.e] <= kFewRowsNn) {
      few_rows_nn(out.columns(part.col_begin, part.col_end), in,
                  w[part.e].column_range(part.col_begin, part.col_end), accumulate);
    } else {
      block_gemm(out.data(), out.stride(0), out.dim(0), out.dim(1), in.dim(1), Operand::of(in),
                 Operand::of(w[part.e]), accumulate);
    }
  });
}

void grouped_gemm_tn(ThreadPool& pool, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets) {
  const int64_t n_rows = dy.dim(1), n_blocks = ceil_div(n_rows, kGroupRows);
  const int64_t step = n_blocks == 0 ? 1 : round_up(ceil_div(n_rows, n_blocks), kRowGrain);
  pool.parallel_tasks(static_cast<int64_t>(dw.size()) * n_blocks, [&](int64_t task, int) {
    const size_t e = static_cast<size_t>(task / n_blocks);
    const int64_t begin = std::min(n_rows, task % n_blocks * step);
    const View<float, 2> out = dw[e].rows(begin, std::min(n_rows, begin + step));
    const Operand dy_e = Operand::of(dy.rows(offsets[e], offsets[e + 1])).transposed();
    block_gemm(out.data(), out.stride(0), out.dim(0), out.dim(1), offsets[e + 1] - offsets[e],
               dy_e.at(begin, 0), Operand::of(x.rows(offsets[e], offsets[e + 1])), true);
  });
}

}  // namespace hadal::cpu
