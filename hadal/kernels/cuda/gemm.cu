// Lists of products in one launch each: blocks are dealt to the products by how many tiles they have.
#include "hadal/kernels/gemm.h"

#include "hadal/kernels/cuda/stored_weight.h"
#include "hadal/kernels/cuda/tile_product.h"

namespace hadal::cuda {
namespace {

constexpr int64_t kTile = TileProduct::kTile;

// An F32 matrix as an operand whose inner axis is its columns (x of nt, dy of nn) or its rows (both of
// tn).
struct RowsOperand {
  static constexpr bool kAlongInner = true;
  View<const float, 2> x;
  __device__ float operator()(int64_t row, int64_t l, bool inside) const {
    return inside && row < x.dim(0) ? x(row, l) : 0.0F;
  }
};
struct ColumnsOperand {
  static constexpr bool kAlongInner = false;
  View<const float, 2> x;
  __device__ float operator()(int64_t column, int64_t l, bool inside) const {
    return inside && column < x.dim(1) ? x(l, column) : 0.0F;
  }
};
// Rows rounded to 8 bits in blocks of 32, as integer arithmetic with 8- and 4-bit weights sees them
// (kernels/reference/round_input.h): a warp has just one block.
struct RoundedRowsOperand {
  static constexpr bool kAlongInner = true;
  View<const float, 2> x;
  __device__ float operator()(int64_t row, int64_t l, bool inside) const {
    const float value = RowsOperand{x}(row, l, inside);
    const float amax = reduce_warp(Max{}, fabsf(value));
    return amax > 0.0F ? rintf(value * (127.0F / amax)) * (amax / 127.0F) : 0.0F;
  }
};
struct WeightRowsOperand {
  static constexpr bool kAlongInner = true;
  const WeightView& w;
  __device__ float operator()(int64_t n, int64_t k, bool inside) const {
    return inside && n < w.rows ? weight_at(w, n, k) : 0.0F;
  }
};
struct WeightColumnsOperand {
  static constexpr bool kAlongInner = false;
  const WeightView& w;
  __device__ float operator()(int64_t k, int64_t n, bool inside) const {
    return inside && k < w.cols ? weight_at(w, n, k) : 0.0F;
  }
};

struct Nt {
  using Item = Product;
  static __device__ void run(TileProduct& tile, const Product& p, int64_t i0, int64_t j0) {
    const WeightRowsOperand w{p.w};
    if (p.w.form == WeightForm::kQ8 || p.w.form == WeightForm::kQ4) {
      tile.add(RoundedRowsOperand{p.in}, w, i0, j0, 0, p.w.cols);
    } else {
      tile.add(RowsOperand{p.in}, w, i0, j0, 0, p.w.cols);
    }
  }
  static constexpr View<float, 2> out(const Product& p) { return p.out; }
  static constexpr bool adds(const Product& p) { return p.beta != 0.0F; }
};
struct Nn {
  using Item = Product;
  static __device__ void run(TileProduct& tile, const Product& p, int64_t i0, int64_t j0) {
    tile.add(RowsOperand{p.in}, WeightColumnsOperand{p.w}, i0, j0, 0, p.w.rows);
  }
  static constexpr View<float, 2> out(const Product& p) { return p.out; }
  static constexpr bool adds(const Product& p) { return p.beta != 0.0F; }
};
struct Tn {
  using Item = WeightGradient;
  static __device__ void run(TileProduct& tile, const WeightGradient& p, int64_t i0, int64_t j0) {
    tile.add(ColumnsOperand{p.dy}, ColumnsOperand{p.x}, i0, j0, 0, p.x.dim(0));
  }
  static constexpr View<float, 2> out(const WeightGradient& p) { return p.dw; }
  static constexpr bool adds(const WeightGradient&) { return true; }
};

// The last of `n` whose first tile is not behind `tile`.
__device__ int64_t owner_of(const int64_t* first_tiles, int64_t n, int64_t tile) {
  int64_t low = 0, high = n;  // first_tiles[low] <= tile < first_tiles[high]
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (first_tiles[middle] <= tile ? low : high) = middle;
  }
  return low;
}

template <class Kind>
__global__ void __launch_bounds__(TileProduct::kThreads)
    products_kernel(const typename Kind::Item* items, const int64_t* first_tiles, int64_t n_items) {
  const int64_t at = owner_of(first_tiles, n_items, blockIdx.x);
  const typename Kind::Item& item = items[at];
  const View<float, 2> out = Kind::out(item);
  const int64_t tile = blockIdx.x - first_tiles[at], across = (out.dim(1) + kTile - 1) / kTile;
  const int64_t i0 = tile / across * kTile, j0 = tile % across * kTile;
  TileProduct sums(out.dim(0) - i0, out.dim(1) - j0);
  Kind::run(sums, item, i0, j0);
  const bool adds = Kind::adds(item);
  sums.for_each(i0, j0, out.dim(0), out.dim(1),
                [&](int64_t i, int64_t j, float sum) { out(i, j) = adds ? out(i, j) + sum : sum; });
}

template <class Kind>
void run(const char* what, Stream& stream, std::span<const typename Kind::Item> items) {
  std::vector<int64_t> first_tiles = {0};
  for (const auto& item : items) {
    const View<float, 2> out = Kind::out(item);
    first_tiles.push_back(first_tiles.back() +
                          ceil_div(out.dim(0), kTile) * ceil_div(out.dim(1), kTile));
  }
  const auto n = static_cast<int64_t>(items.size());
  launch(what, products_kernel<Kind>, block_each(first_tiles.back(), TileProduct::kThreads), stream,
         own(stream).upload(items), own(stream).upload(std::span<const int64_t>(first_tiles)), n);
}

}  // namespace

void gemm_nt(Stream& stream, std::span<const Product> products) {
  run<Nt>("gemm_nt", stream, products);
}
void gemm_nn(Stream& stream, std::span<const Product> products) {
  run<Nn>("gemm_nn", stream, products);
}
void gemm_tn(Stream& stream, std::span<const WeightGradient> products) {
  run<Tn>("gemm_tn", stream, products);
}

}  // namespace hadal::cuda
