// Cuts the products of ops/gemm.h into parts for the threads: all products of a list in one region.
// Which kernel multiplies depends on the number of rows alone, never on the cut, and no bit of a
// result on either.
#include "hadal/kernels/gemm.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/bf16/bf16_gemm.h"
#include "hadal/kernels/cpu/block_gemm.h"
#include "hadal/kernels/cpu/few_rows.h"
#include "hadal/kernels/cpu/turned_gemm.h"

namespace hadal::cpu {
namespace {

// A part cheaper than this (multiply-adds) costs more to hand out than to compute: about 2 us.
constexpr int64_t kLeastCost = 1 << 16;
// With few rows, reading the weight costs what this many rows of multiply-adds do.
constexpr int64_t kRowsOfReading = 4;

// Cuts fall on multiples of the widest panel and tile, so that parts have no narrow edges of their
// own; in nt with few rows, of the columns that a pass over x takes together.
constexpr int64_t kPanelGrain = 32;
constexpr int64_t kRowGrain = 12;
constexpr int64_t kBf16RowGrain = 32;
constexpr int64_t kFewRowsNtGrain = 4;

// The extents of a result, and how many products each of its elements sums.
struct Extents {
  int64_t rows, cols, depth;
  int64_t few_grain;  // columns; 0: many rows
  int64_t row_grain = kRowGrain;

  int64_t cost() const {
    const int64_t per_row = cols * std::max<int64_t>(depth, 1);
    return per_row * (few_grain > 0 && rows > 0 ? std::max(rows, kRowsOfReading) : rows);
  }
};

// The rows and columns of a part.
struct Steps {
  int64_t rows, cols;
};

// About `n_parts` parts, or all grains. Each packs its own rows of A and columns of B: of all grids
// with so many the one that packs least, which is near a square.
Steps grid(int64_t m, int64_t n, int64_t row_grain, int64_t n_parts) {
  const int64_t most_rows = ceil_div(m, row_grain), most_cols = ceil_div(n, kPanelGrain);
  n_parts = std::min(n_parts, most_rows * most_cols);
  Steps best{m, n};
  int64_t least = -1;
  for (int64_t r = 1; r <= std::min(n_parts, most_rows); ++r) {
    const int64_t q = std::min(ceil_div(n_parts, r), most_cols);
    const int64_t packed = m * q + n * r;
    if (r * q < n_parts || (least >= 0 && packed >= least)) continue;
    least = packed;
    best = {round_up(ceil_div(m, r), row_grain), round_up(ceil_div(n, q), kPanelGrain)};
  }
  return best;
}

Steps steps_of(const Extents& e, int64_t n_parts) {
  if (e.few_grain == 0) return grid(e.rows, e.cols, e.row_grain, n_parts);
  return {e.rows, round_up(ceil_div(e.cols, n_parts), e.few_grain)};
}

// How many parts a region should have. Few rows: up to four a thread, each reads its own share of the
// weights. Many rows: two, so that a slow core leaves one to the others; but one of two threads, which
// would feel more that every part packs its own operands.
int64_t parts_wanted(int64_t n_threads, int64_t total_cost, bool few) {
  if (few) return n_threads * std::clamp<int64_t>(total_cost / (n_threads * kLeastCost), 1, 4);
  return n_threads <= 2 ? n_threads : 2 * n_threads;
}

// Some rows and columns of the result of one product.
struct Part {
  size_t product;
  int64_t row_begin, row_end, col_begin, col_end;
  int64_t cost;
};

void append_parts(std::vector<Part>& parts, size_t product, const Extents& e, const Part& whole,
                  const Steps& steps) {
  for (int64_t r = whole.row_begin; r < whole.row_end; r += steps.rows) {
    const int64_t row_end = std::min(whole.row_end, r + steps.rows);
    for (int64_t c = whole.col_begin; c < whole.col_end; c += steps.cols) {
      const int64_t col_end = std::min(whole.col_end, c + steps.cols);
      parts.push_back({product, r, row_end, c, col_end,
                       Extents{row_end - r, col_end - c, e.depth, e.few_grain}.cost()});
    }
  }
}

// In how many pieces each of the `left` parts goes that are over when all threads have had equally
// many, lest most threads watch the rest: as few as leave little to win.
int64_t pieces_of_rest(int64_t left, int64_t n_threads) {
  const auto rounds = [&](int64_t pieces) {
    return static_cast<double>(ceil_div(left * pieces, n_threads)) / static_cast<double>(pieces);
  };
  int64_t best = 1;
  for (int64_t pieces = 2; pieces <= 8; ++pieces) {
    if (rounds(pieces) < 0.9 * rounds(best)) best = pieces;
  }
  return best;
}

template <class ExtentsOf>
std::vector<Part> cut(size_t n_products, const ExtentsOf& extents_of, int64_t n_threads,
                      int64_t part_cost, bool few) {
  std::vector<Part> parts;
  parts.reserve(n_products + static_cast<size_t>(8 * n_threads));
  for (size_t i = 0; i < n_products; ++i) {
    const Extents e = extents_of(i);
    if (e.rows == 0 || e.cols == 0) continue;
    append_parts(parts, i, e, {i, 0, e.rows, 0, e.cols, 0},
                 steps_of(e, ceil_div(e.cost(), part_cost)));
  }
  if (!few) std::ranges::stable_sort(parts, std::greater(), &Part::cost);
  const int64_t left = std::ssize(parts) % n_threads;
  const int64_t pieces = pieces_of_rest(left, n_threads);
  if (left == 0 || pieces == 1) return parts;
  const std::vector<Part> rest(parts.end() - left, parts.end());
  parts.resize(parts.size() - rest.size());
  for (const Part& part : rest) {
    const Extents e = extents_of(part.product);
    const int64_t rows = part.row_end - part.row_begin, cols = part.col_end - part.col_begin;
    const int64_t n = std::clamp<int64_t>(2 * part.cost / kLeastCost, 1, pieces);
    const Steps steps =
        e.few_grain > 0 || rows < cols
            ? Steps{rows, round_up(ceil_div(cols, n), std::max(e.few_grain, kPanelGrain))}
            : Steps{round_up(ceil_div(rows, n), e.row_grain), cols};
    append_parts(parts, part.product, e, part, steps);
  }
  return parts;
}

// Threads take turns at a list from its front. Each of them shall read on where it stopped, so that
// what it asked for ahead of time is its own: thread after thread, the parts of one share stand
// n_threads apart.
std::vector<Part> dealt_out(std::vector<Part> parts, int64_t n_threads) {
  std::vector<Part> result;
  result.reserve(parts.size());
  const int64_t share = ceil_div(std::ssize(parts), n_threads);
  for (int64_t i = 0; i < share; ++i) {
    for (int64_t first = i; first < std::ssize(parts); first += share) {
      result.push_back(parts[static_cast<size_t>(first)]);
    }
  }
  return result;
}

// extents_of(i) are product i's. Calls part(Part) until all results are covered.
template <class ExtentsOf, class Body>
void parallel_parts(ThreadPool& pool, size_t n_products, const ExtentsOf& extents_of,
                    const Body& body) {
  int64_t total = 0;
  bool few = true;
  for (size_t i = 0; i < n_products; ++i) {
    const Extents each = extents_of(i);
    total += each.cost();
    few = few && each.few_grain > 0;
  }
  const int64_t n_threads = total <= kLeastCost ? 1 : pool.n_threads();
  const int64_t part_cost =
      n_threads == 1 ? std::max<int64_t>(total, 1)
                     : std::max(kLeastCost, ceil_div(total, parts_wanted(n_threads, total, few)));
  std::vector<Part> parts = cut(n_products, extents_of, n_threads, part_cost, few);
  if (few) parts = dealt_out(std::move(parts), n_threads);
  if (n_threads == 1) {
    std::ranges::for_each(parts, body);
    return;
  }
  pool.parallel_tasks(std::ssize(parts),
                      [&](int64_t task, int) { body(parts[static_cast<size_t>(task)]); });
}

// The part's rows and columns of a product's result and the rows of its input.
View<float, 2> out_of(const Product& product, const Part& part) {
  return product.out.rows(part.row_begin, part.row_end).columns(part.col_begin, part.col_end);
}
View<const float, 2> in_of(const Product& product, const Part& part) {
  return product.in.rows(part.row_begin, part.row_end);
}

// Whether the kernel of BF16 products multiplies; a few rows of nt are turned_gemm's, to the same bits.
bool packs_bf16_nt(const Product& product) {
  return product.is_bf16 && turned_form(product) == TurnedForm::kNone;
}
bool few_nt(const Product& product) {
  return product.in.dim(0) <= kFewRowsNt && !packs_bf16_nt(product);
}
int64_t few_nt_grain(const Product& product) {
  return turned_form(product) != TurnedForm::kNone ? kPanelGrain : kFewRowsNtGrain;
}
bool few_nn(const Product& product) { return product.in.dim(0) <= kFewRowsNn && !product.is_bf16; }
int64_t row_grain(bool is_bf16) { return is_bf16 ? kBf16RowGrain : kRowGrain; }

}  // namespace

void gemm_nt(ThreadPool& pool, std::span<const Product> products) {
  const auto extents_of = [&](size_t i) {
    const Product& each = products[i];
    return Extents{each.out.dim(0), each.out.dim(1), each.w.cols,
                   few_nt(each) ? few_nt_grain(each) : 0, row_grain(each.is_bf16)};
  };
  const TurnedInputs rounded(pool, products);
  parallel_parts(pool, products.size(), extents_of, [&](const Part& part) {
    const Product& product = products[part.product];
    const View<float, 2> out = out_of(product, part);
    const WeightView w = product.w.row_range(part.col_begin, part.col_end);
    const bool accumulate = product.beta != 0.0F;
    if (turned_form(product) != TurnedForm::kNone) {
      return turned_gemm_nt(out, rounded.of(part.product).rows_from(part.row_begin), w, accumulate);
    }
    if (product.is_bf16) return bf16_gemm(out, {in_of(product, part)}, {w}, accumulate);
    const auto multiply = few_nt(product) ? few_rows_nt : block_gemm_nt;
    multiply(out, in_of(product, part), w, accumulate);
  });
}

void gemm_nn(ThreadPool& pool, std::span<const Product> products) {
  const auto extents_of = [&](size_t i) {
    const Product& each = products[i];
    return Extents{each.out.dim(0), each.out.dim(1), each.w.rows, few_nn(each) ? kPanelGrain : 0,
                   row_grain(each.is_bf16)};
  };
  parallel_parts(pool, products.size(), extents_of, [&](const Part& part) {
    const Product& product = products[part.product];
    const View<float, 2> out = out_of(product, part);
    const View<const float, 2> in = in_of(product, part);
    const WeightView w = product.w.column_range(part.col_begin, part.col_end);
    const bool accumulate = product.beta != 0.0F;
    if (product.is_bf16) return bf16_gemm(out, {in}, {w, true}, accumulate);
    if (few_nn(product)) return few_rows_nn(out, in, w, accumulate);
    block_gemm(out.data(), out.stride(0), out.dim(0), out.dim(1), w.rows, Operand::of(in), w, false,
               accumulate);
  });
}

void gemm_tn(ThreadPool& pool, std::span<const WeightGradient> products) {
  const auto extents_of = [&](size_t i) {
    const WeightGradient& each = products[i];
    return Extents{each.dw.dim(0), each.dw.dim(1), each.x.dim(0), 0, row_grain(each.is_bf16)};
  };
  parallel_parts(pool, products.size(), extents_of, [&](const Part& part) {
    const auto& [dw, dy, x, is_bf16] = products[part.product];
    if (is_bf16) {
      return bf16_gemm(dw.rows(part.row_begin, part.row_end).columns(part.col_begin, part.col_end),
                       {dy.columns(part.row_begin, part.row_end), true},
                       {x.columns(part.col_begin, part.col_end), true}, true);
    }
    block_gemm(&dw(part.row_begin, part.col_begin), dw.stride(0), part.row_end - part.row_begin,
               part.col_end - part.col_begin, x.dim(0),
               Operand::of(dy).transposed().at(part.row_begin, 0),
               Operand::of(x).at(0, part.col_begin), true);
  });
}

}  // namespace hadal::cpu
