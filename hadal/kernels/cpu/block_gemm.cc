// The classic three blockings: B is packed in panels of two vectors per row of k, A in tiles of
// kTileRows (packing-inl.h) or read where it lies; the micro-kernel keeps a whole tile of C in registers.
#include "hadal/kernels/cpu/block_gemm.h"

#include <array>
#include <utility>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/few_rows.h"
#include "hadal/kernels/cpu/scratch.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/block_gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/packing-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

// A tile of A as the micro-kernel reads it: row r of step k stands at data[offset(r) + k * step()].
template <class Order>
struct PackedTile {
  const float* data;
  static constexpr int64_t offset(int64_t r) { return r / 4 * kGroupFloats<Order> + r % 4; }
  static constexpr int64_t step() { return 4; }
};
// Rows that lie side by side: A is the transpose of what is in memory.
struct TileInPlace {
  const float* data;
  int64_t k_stride;
  static constexpr int64_t offset(int64_t r) { return r; }
  int64_t step() const { return k_stride; }
};

// sum[t] = n_steps of tile * panel, of as many chains t as run together: they lie one behind the
// other in tile and panel, which move on behind them. The only loop that matters.
template <class Order, class Tile, int kRows, int kVectors>
HWY_INLINE void run_chains(V (&sum)[Order::kTogether][kRows][kVectors], Tile& tile,
                           const float*& panel, int64_t n_steps) {
  const Floats d;
  HWY_UNROLL(2)
  for (int t = 0; t < Order::kTogether; ++t) {
    HWY_UNROLL(12)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) sum[t][r][v] = hn::Zero(d);
    }
  }
  for (int64_t step = 0; step < n_steps; ++step) {
    HWY_UNROLL(2)
    for (int t = 0; t < Order::kTogether; ++t) {
      const float* tile_t = tile.data + t * tile.step() * (n_steps + 1);
      V b[kVectors];
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) {
        b[v] = hn::Load(d, panel + t * kPanel * (n_steps + 1) + v * kLanes);
      }
      HWY_UNROLL(12)
      for (int r = 0; r < kRows; ++r) {
        const V a = hn::Set(d, tile_t[Tile::offset(r)]);
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) sum[t][r][v] = hn::MulAdd(a, b[v], sum[t][r][v]);
      }
    }
    tile.data += tile.step();
    panel += kPanel;
  }
  tile.data += tile.step() * (1 + (Order::kTogether - 1) * (n_steps + 1));
  panel += kPanel + (Order::kTogether - 1) * kPanel * (n_steps + 1);
}

// The chains' sums of every element, in pairs.
template <int kTogether, int kRows, int kVectors>
HWY_INLINE void add_chains(V (&total)[kRows][kVectors],
                           const V (&sum)[kTogether][kRows][kVectors]) {
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      if constexpr (kTogether == 1) {
        total[r][v] = sum[0][r][v];
      } else {
        total[r][v] = hn::Add(sum[0][r][v], sum[1][r][v]);
      }
    }
  }
}

// total = tile * panel with one chain a lane. A sum of two chains, of two pairs and so on waits in
// `partial` for its neighbour: as many as the binary digits of the rank.
template <int kRows, int kVectors>
HWY_INLINE void sum_lanes(V (&total)[kRows][kVectors], PackedTile<Lanes> tile, const float* panel,
                          int64_t depth) {
  constexpr int64_t kRanks = kLanes / Lanes::kTogether;
  const Floats d;
  HWY_ALIGN float partial[4][kRows][kVectors * kLanes];
  for (int64_t rank = 0; rank < kRanks; ++rank) {
    V sum[Lanes::kTogether][kRows][kVectors];
    run_chains<Lanes>(sum, tile, panel, depth / kLanes);
    add_chains(total, sum);
    int level = 0;
    for (; (rank >> level & 1) != 0; ++level) {
      HWY_UNROLL(12)
      for (int r = 0; r < kRows; ++r) {
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) {
          total[r][v] = hn::Add(total[r][v], hn::Load(d, partial[level][r] + v * kLanes));
        }
      }
    }
    if (rank == kRanks - 1) return;
    HWY_UNROLL(12)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) hn::Store(total[r][v], d, partial[level][r] + v * kLanes);
    }
  }
}

// What becomes of a sum of products: it is multiplied by a power of two, and perhaps added to what is
// there.
struct Finish {
  float factor = 1.0F;
  bool accumulate = false;
};

// c[kRows, kVectors * kLanes] (+)= tile panel
template <class Order, class Tile, int kRows, int kVectors>
void micro_kernel(float* HWY_RESTRICT c, int64_t ldc, Tile tile, const float* panel, int64_t depth,
                  const Finish& finish) {
  const Floats d;
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) hwy::Prefetch(c + r * ldc + v * kLanes);
  }
  V total[kRows][kVectors];
  if constexpr (std::is_same_v<Order, Chain>) {
    V sum[1][kRows][kVectors];
    run_chains<Chain>(sum, tile, panel, depth);
    add_chains(total, sum);
  } else {
    sum_lanes(total, tile, panel, depth);
  }
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      float* out = c + r * ldc + v * kLanes;
      const V sum = hn::Mul(total[r][v], hn::Set(d, finish.factor));
      hn::StoreU(finish.accumulate ? hn::Add(hn::LoadU(d, out), sum) : sum, d, out);
    }
  }
}

template <class Tile>
using MicroKernel = void (*)(float*, int64_t, Tile, const float*, int64_t, const Finish&);
template <class Order, class Tile, int... kRows>
constexpr auto micro_kernel_table(std::integer_sequence<int, kRows...>) {
  return std::array{std::array<MicroKernel<Tile>, 2>{micro_kernel<Order, Tile, kRows + 1, 1>,
                                                     micro_kernel<Order, Tile, kRows + 1, 2>}...};
}
// By rows - 1, then by vectors - 1.
template <class Order, class Tile>
constexpr auto kMicroKernels = micro_kernel_table<Order, Tile>(
    std::make_integer_sequence<int, static_cast<int>(Order::kTileRows)>());

// One tile of C with `rows` rows and `cols` columns. At the right edge of C a whole vector or two
// are computed, and copied as far as C reaches.
template <class Order, class Tile>
void compute_tile(float* c, int64_t ldc, Tile tile, const float* panel, int64_t depth, int64_t rows,
                  int64_t cols, const Finish& finish) {
  const size_t vectors = cols <= kLanes ? 1 : 2;
  const MicroKernel<Tile> kernel =
      kMicroKernels<Order, Tile>[static_cast<size_t>(rows - 1)][vectors - 1];
  if (cols == kLanes || cols == kPanel) return kernel(c, ldc, tile, panel, depth, finish);
  HWY_ALIGN float whole[Order::kTileRows * kPanel];
  kernel(whole, kPanel, tile, panel, depth, {finish.factor, false});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j) {
      c[r * ldc + j] = whole[r * kPanel + j] + (finish.accumulate ? c[r * ldc + j] : 0.0F);
    }
  }
}

// A packed block of B, and how far its panels stand apart.
struct BlockOfB {
  const float* data;
  int64_t panel_floats;
};

// c (+)= a block of A and the packed block of B; tile_at(i) begins at row i of the former.
template <class Order, class TileAt>
void multiply_blocks(float* c, int64_t ldc, const TileAt& tile_at, const BlockOfB& b, int64_t mc,
                     int64_t nc, int64_t depth, const Finish& finish) {
  for (int64_t j = 0; j < nc; j += kPanel) {
    for (int64_t i = 0; i < mc; i += Order::kTileRows) {
      compute_tile<Order>(c + i * ldc + j, ldc, tile_at(i), b.data + j / kPanel * b.panel_floats,
                          depth, std::min(Order::kTileRows, mc - i), std::min(kPanel, nc - j),
                          finish);
    }
  }
}

template <class Order>
auto tiles_of(const float* packed_a) {
  return [packed_a](int64_t i) { return PackedTile<Order>{packed_a + group_offset<Order>(i)}; };
}

// Of a weight gradient, whose rows lie side by side: they are read once for each panel of C. With wide rows
// the lines of all steps fall into few sets of L1, and the copy pays.
bool is_read_in_place(const Operand& a, const float* factors) {
  constexpr int64_t kWidest = 256;  // floats
  return a.col_stride != 1 && a.col_stride <= kWidest && factors == nullptr;
}

}  // namespace

namespace {

// Columns [jc, jc + nc) of c. `factors` [k]: what the columns of A are multiplied by; none: 1.
// b_at(k, n) is the packed block of n rows from row k on.
template <class BAt>
void multiply_chains(float* c, int64_t ldc, int64_t m, int64_t k, const Operand& a,
                     const float* factors, int64_t jc, int64_t nc, const Finish& finish,
                     float* packed_a, const BAt& b_at) {
  for (int64_t pc = 0; pc < k; pc += Chain::kDepth) {
    const int64_t kc = std::min(Chain::kDepth, k - pc);
    const BlockOfB b = b_at(pc, kc);
    for (int64_t ic = 0; ic < m; ic += Chain::kRows) {
      const int64_t mc = std::min(Chain::kRows, m - ic);
      const Operand block = a.at(ic, pc);
      const auto multiply = [&](const auto& tile_at) HWY_ATTR {
        multiply_blocks<Chain>(c + ic * ldc + jc, ldc, tile_at, b, mc, nc, kc,
                               {finish.factor, finish.accumulate || pc > 0});
      };
      if (is_read_in_place(a, factors)) {
        multiply([&](int64_t i) { return TileInPlace{block.data + i, block.col_stride}; });
      } else {
        pack_a(packed_a, block, factors == nullptr ? nullptr : factors + pc, mc, kc);
        multiply(tiles_of<Chain>(packed_a));
      }
    }
  }
}

}  // namespace

void block_gemm_serial(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                       const WeightView& w, bool transpose_w, bool accumulate, float* packed_a,
                       float* packed_b) {
  if (w.form == WeightForm::kFp8 && !transpose_w) {
    thread_local Scratch factor_scratch;
    float* factors = factor_scratch.take(w.rows);
    for (int64_t jc = 0; jc < n;) {
      const int64_t nc = std::min(Chain::kCols, end_of_columns(w, jc) - jc);
      column_factors(factors, w, jc);
      multiply_chains(c, ldc, m, k, a, factors, jc, nc, {kSumFactor, accumulate}, packed_a,
                      [&](int64_t pc, int64_t kc) HWY_ATTR {
                        pack_b_rows(packed_b, Fp8CodeRows(w), pc, jc, kc, nc);
                        return BlockOfB{packed_b, kPanel * kc};
                      });
      jc += nc;
    }
    return;
  }
  for (int64_t jc = 0; jc < n; jc += Chain::kCols) {
    const int64_t nc = std::min(Chain::kCols, n - jc);
    multiply_chains(c, ldc, m, k, a, nullptr, jc, nc, {1.0F, accumulate}, packed_a,
                    [&](int64_t pc, int64_t kc) HWY_ATTR {
                      pack_b(packed_b, w, transpose_w, pc, jc, kc, nc);
                      return BlockOfB{packed_b, kPanel * kc};
                    });
  }
}

// Every cut of the depth whole, a cut behind the other.
void pack_b_serial(float* packed, int64_t n, int64_t k, const WeightView& w, bool transpose_w) {
  for (int64_t pc = 0; pc < k; pc += Chain::kDepth) {
    pack_b(packed + pc * round_up(n, kPanel), w, transpose_w, pc, 0,
           std::min(Chain::kDepth, k - pc), n);
  }
}

void block_gemm_packed(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                       const PackedB& b, bool accumulate, float* packed_a) {
  multiply_chains(c, ldc, m, k, a, nullptr, 0, n, {1.0F, accumulate}, packed_a,
                  [&](int64_t pc, int64_t) HWY_ATTR {
                    return BlockOfB{b.data + pc * round_up(b.cols, kPanel),
                                    kPanel * std::min(Chain::kDepth, b.rows - pc)};
                  });
}

int64_t packed_whole_b_floats(int64_t n, int64_t k) { return round_up(n, kPanel) * k; }

namespace {

// Columns [jc, jc + nc) of y; `rows` are those of w as they are multiplied, x_row(t) the input's.
template <class Rows, class RowOf>
void multiply_columns(View<float, 2> y, const RowOf& x_row, const WeightView& w, const Rows& rows,
                      int64_t jc, int64_t nc, float factor, bool accumulate, float* packed_a,
                      float* packed_b) {
  for (int64_t pc = 0; pc < w.cols; pc += Lanes::kDepth) {
    const int64_t kc = std::min(Lanes::kDepth, w.cols - pc), depth = round_up(kc, kLanes);
    pack_b_lanes(packed_b, rows, pc, jc, kc, nc);
    for (int64_t ic = 0; ic < y.dim(0); ic += Lanes::kRows) {
      const int64_t mc = std::min(Lanes::kRows, y.dim(0) - ic);
      pack_a_lanes(packed_a, x_row, ic, pc, mc, kc);
      multiply_blocks<Lanes>(y.data() + ic * y.stride(0) + jc, y.stride(0),
                             tiles_of<Lanes>(packed_a), {packed_b, kPanel * (depth + Lanes::kGap)},
                             mc, nc, depth, {factor, accumulate || pc > 0});
    }
  }
}

}  // namespace

void block_gemm_lanes(View<float, 2> y, View<const float, 2> x, const WeightView& w,
                      bool accumulate, float* packed_a, float* packed_b) {
  if (w.form == WeightForm::kFp8) {  // columns that share their scales are multiplied together
    thread_local Scratch factor_scratch;
    float* factors = factor_scratch.take(w.cols);
    for (int64_t jc = 0; jc < w.rows;) {
      const int64_t nc = std::min(Lanes::kCols, end_of_rows(w, jc) - jc);
      row_factors(factors, w, jc);
      const auto x_row = [&](int64_t t) HWY_ATTR {
        return FactoredRow{x.data() + t * x.stride(0), factors};
      };
      multiply_columns(y, x_row, w, Fp8CodeRows(w), jc, nc, kSumFactor, accumulate, packed_a,
                       packed_b);
      jc += nc;
    }
    return;
  }
  const auto x_row = [&](int64_t t)
                         HWY_ATTR { return PlainRow<float>{x.data() + t * x.stride(0)}; };
  with_rows(w, [&](const auto& rows) HWY_ATTR {
    for (int64_t jc = 0; jc < w.rows; jc += Lanes::kCols) {
      multiply_columns(y, x_row, w, rows, jc, std::min(Lanes::kCols, w.rows - jc), 1.0F, accumulate,
                       packed_a, packed_b);
    }
  });
}

int64_t packed_a_floats(int64_t m) {
  return std::max(ceil_div(std::min(m, Chain::kRows), Chain::kTileRows) * kTileFloats<Chain>,
                  ceil_div(std::min(m, Lanes::kRows), Lanes::kTileRows) * kTileFloats<Lanes>);
}
int64_t packed_b_floats(int64_t n, int64_t k) {
  return std::max(round_up(std::min(n, Chain::kCols), kPanel) * std::min(k, Chain::kDepth),
                  round_up(std::min(n, Lanes::kCols), kPanel) *
                      (round_up(std::min(k, Lanes::kDepth), kLanes) + Lanes::kGap));
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(block_gemm_serial);
HWY_EXPORT(block_gemm_lanes);
HWY_EXPORT(block_gemm_packed);
HWY_EXPORT(pack_b_serial);
HWY_EXPORT(packed_a_floats);
HWY_EXPORT(packed_b_floats);
HWY_EXPORT(packed_whole_b_floats);

WeightView as_weight(const Operand& b, int64_t n, int64_t k) {
  WeightView w;
  const bool transpose = b.col_stride != 1;
  w.data = b.data;
  w.rows = transpose ? n : k;
  w.cols = transpose ? k : n;
  w.row_stride = transpose ? b.col_stride : b.row_stride;
  return w;
}

}  // namespace

void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const WeightView& w, bool transpose_w, bool accumulate) {
  if (k == 0 && !accumulate) {
    for (int64_t i = 0; i < m; ++i) std::fill(c + i * ldc, c + i * ldc + n, 0.0F);
  }
  thread_local Scratch packed_a, packed_b;
  HWY_DYNAMIC_DISPATCH(block_gemm_serial)
  (c, ldc, m, n, k, a, w, transpose_w, accumulate,
   packed_a.take(HWY_DYNAMIC_DISPATCH(packed_a_floats)(m)),
   packed_b.take(HWY_DYNAMIC_DISPATCH(packed_b_floats)(n, k)));
}

void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const Operand& b, bool accumulate) {
  block_gemm(c, ldc, m, n, k, a, as_weight(b, n, k), b.col_stride != 1, accumulate);
}

int64_t packed_b_floats(int64_t n, int64_t k) {
  return HWY_DYNAMIC_DISPATCH(packed_whole_b_floats)(n, k);
}

PackedB pack_b(float* memory, int64_t n, int64_t k, const Operand& b) {
  HWY_DYNAMIC_DISPATCH(pack_b_serial)(memory, n, k, as_weight(b, n, k), b.col_stride != 1);
  return {memory, k, n};
}

void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const PackedB& b, bool accumulate) {
  thread_local Scratch packed_a;
  HWY_DYNAMIC_DISPATCH(block_gemm_packed)
  (c, ldc, m, n, k, a, b, accumulate, packed_a.take(HWY_DYNAMIC_DISPATCH(packed_a_floats)(m)));
}

void block_gemm_nt(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate) {
  if (w.cols == 0 && !accumulate) {
    for (int64_t i = 0; i < y.dim(0); ++i) std::fill(y.row(i).begin(), y.row(i).end(), 0.0F);
  }
  thread_local Scratch packed_a, packed_b;
  HWY_DYNAMIC_DISPATCH(block_gemm_lanes)
  (y, x, w, accumulate, packed_a.take(HWY_DYNAMIC_DISPATCH(packed_a_floats)(x.dim(0))),
   packed_b.take(HWY_DYNAMIC_DISPATCH(packed_b_floats)(w.rows, w.cols)));
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
