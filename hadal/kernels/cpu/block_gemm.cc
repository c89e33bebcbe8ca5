// The classic three blockings: B is packed in panels of two vectors per row of k, A in tiles of
// kTileRows; the micro-kernel keeps a whole tile of C in registers.
//
//   packed B: panel p holds columns [p*kPanel, ...) as [k][kPanel], padded with zeros
//   packed A: tile r holds rows [r*kTileRows, ...) as groups of four, each [k][4], padded
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

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

using V = hn::Vec<Floats>;
using FourFloats = hn::CappedTag<float, 4>;

// Accumulators plus operands must fit the registers: 12 x 2 of 32 with AVX-512, 6 x 2 of 16 else.
constexpr int64_t kTileRows = HWY_MAX_BYTES >= 64 ? 12 : 6;
constexpr int64_t kLanes = HWY_MAX_BYTES / 4;
constexpr int64_t kPanel = 2 * kLanes;
constexpr int64_t kGroups = (kTileRows + 3) / 4;

// How the products of one element of C are summed, and which blocks of A [kRows, kDepth] (in L2)
// and B [kDepth, kCols] are packed for it.
//
// Chain: over ascending k.
struct Chain {
  static constexpr int64_t kDepth = kDepthNn, kRows = 192, kCols = 1024;
};
// Lanes: as few_rows_nt does it, k and k + kLanes in the same chain and then the chains in pairs. A
// block is packed lane by lane, in the order in which the chains meet.
struct Lanes {
  static constexpr int64_t kDepth = kDepthNt, kRows = 192, kCols = 512;
};
template <class Order>
constexpr int64_t kTileFloats = kGroups * 4 * Order::kDepth;

// Packing waits for memory more than it computes: what the next four rows hold is asked for early.
template <class T>
HWY_INLINE void prefetch_four(const T* p, int64_t row_stride) {
  hwy::Prefetch(p);
  hwy::Prefetch(p + row_stride);
  hwy::Prefetch(p + 2 * row_stride);
  hwy::Prefetch(p + 3 * row_stride);
}

// Where the group of four rows that begins at row i stands in the packed block.
template <class Order>
HWY_INLINE int64_t group_offset(int64_t i) {
  return i / kTileRows * kTileFloats<Order> + i % kTileRows / 4 * 4 * Order::kDepth;
}

// A transposed weight gradient: rows of the block lie side by side. Four k at a time over the whole
// width, so that memory is read in long runs and every line of the packed block is written at once.
void pack_a_side_by_side(float* packed, const float* a, int64_t k_stride, int64_t mc, int64_t kc) {
  const FourFloats d;
  for (int64_t k0 = 0; k0 < kc; k0 += 4) {
    const int64_t n_k = std::min<int64_t>(4, kc - k0);
    const float* from = a + k0 * k_stride;
    for (int64_t k = 4; k < 8; ++k) {
      for (int64_t i = 0; i < mc; i += 16) hwy::Prefetch(from + k * k_stride + i);
    }
    for (int64_t i0 = 0; i0 < mc; i0 += kTileRows) {
      const int64_t end = std::min(mc, i0 + kTileRows);
      for (int64_t i = i0; i < end; i += 4) {
        float* out = packed + group_offset<Chain>(i) + 4 * k0;
        const int64_t n = std::min<int64_t>(4, end - i);
        for (int64_t k = 0; k < n_k; ++k) {
          const float* four = from + k * k_stride + i;
          if (n == 4) {
            hn::StoreU(hn::LoadU(d, four), d, out + 4 * k);
          } else {
            std::copy_n(four, n, out + 4 * k);
          }
        }
      }
    }
  }
}

// Rows that are contiguous in k: four of them are interleaved at a time.
void pack_a_rows(float* packed, const float* a, int64_t row_stride, int64_t mc, int64_t kc) {
  const Floats d;
  for (int64_t i0 = 0; i0 < mc; i0 += kTileRows) {
    const int64_t end = std::min(mc, i0 + kTileRows);
    for (int64_t i = i0; i < end; i += 4) {
      float* out = packed + group_offset<Chain>(i);
      const float* from = a + i * row_stride;
      const int64_t n = std::min<int64_t>(4, end - i);
      int64_t k = 0;
      for (; n == 4 && k + kLanes <= kc; k += kLanes) {
        prefetch_four(from + 4 * row_stride + k, row_stride);
        hn::StoreInterleaved4(hn::LoadU(d, from + k), hn::LoadU(d, from + row_stride + k),
                              hn::LoadU(d, from + 2 * row_stride + k),
                              hn::LoadU(d, from + 3 * row_stride + k), d, out + 4 * k);
      }
      for (; k < kc; ++k) {
        for (int64_t r = 0; r < n; ++r) out[4 * k + r] = from[r * row_stride + k];
      }
    }
  }
}

// Rows [0, mc) x columns k [0, kc) of `a`. Slots of rows beyond mc are left as they are: the
// micro-kernel for fewer rows never reads them.
void pack_a(float* packed, const Operand& a, int64_t mc, int64_t kc) {
  if (a.col_stride == 1) {
    pack_a_rows(packed, a.data, a.row_stride, mc, kc);
  } else {
    pack_a_side_by_side(packed, a.data, a.col_stride, mc, kc);
  }
}

// B = w, from row k0 and column n0 on: each row is read at full width and spread over the panels.
template <class Rows>
void pack_b_rows(float* packed, const Rows& w, int64_t k0, int64_t n0, int64_t kc, int64_t nc) {
  const Floats d;
  const int64_t n_whole = nc / kPanel * kPanel;
  for (int64_t k = 0; k < kc; ++k) {
    const auto row = w.row(k0 + k);
    for (int64_t j = 0; j < n_whole; j += kPanel) {
      float* out = packed + j * kc + k * kPanel;
      hwy::Prefetch(w.address(k0 + k + 4, n0 + j));
      hwy::Prefetch(w.address(k0 + k + 4, n0 + j + kLanes));
      hn::StoreU(row.load(d, n0 + j), d, out);
      hn::StoreU(row.load(d, n0 + j + kLanes), d, out + kLanes);
    }
    if (n_whole == nc) continue;
    float* out = packed + n_whole * kc + k * kPanel;
    for (int64_t j = n_whole; j < nc; ++j) {
      hn::StoreU(row.load(OneFloat(), n0 + j), OneFloat(), out + (j - n_whole));
    }
    std::fill(out + (nc - n_whole), out + kPanel, 0.0F);
  }
}

// B = w^T, from row n0 and column k0 of w on: 4 x 4 elements are turned at a time.
template <class Rows>
void pack_b_columns(float* packed, const Rows& w, int64_t k0, int64_t n0, int64_t kc, int64_t nc) {
  const FourFloats d;
  if (nc % kPanel != 0) {
    float* last = packed + nc / kPanel * kPanel * kc;
    std::fill(last, last + kPanel * kc, 0.0F);
  }
  for (int64_t n = 0; n < nc; n += 4) {
    float* out = packed + n / kPanel * kPanel * kc + n % kPanel;
    const int64_t n_valid = std::min<int64_t>(4, nc - n);
    const auto at = [&](int64_t j) HWY_ATTR { return w.row(n0 + n + std::min(j, n_valid - 1)); };
    const std::array four{at(0), at(1), at(2), at(3)};
    int64_t k = 0;
    for (; n_valid == 4 && k + 4 <= kc; k += 4) {
      if (k % 16 == 0) {
        for (int64_t j = 4; j < 8; ++j) hwy::Prefetch(w.address(n0 + n + j, k0 + k));
      }
      auto v0 = four[0].load(d, k0 + k), v1 = four[1].load(d, k0 + k);
      auto v2 = four[2].load(d, k0 + k), v3 = four[3].load(d, k0 + k);
      transpose_4x4(d, v0, v1, v2, v3);
      hn::StoreU(v0, d, out + k * kPanel);
      hn::StoreU(v1, d, out + (k + 1) * kPanel);
      hn::StoreU(v2, d, out + (k + 2) * kPanel);
      hn::StoreU(v3, d, out + (k + 3) * kPanel);
    }
    for (; k < kc; ++k) {
      for (int64_t j = 0; j < n_valid; ++j) {
        const OneFloat one;
        hn::StoreU(four[static_cast<size_t>(j)].load(one, k0 + k), one, out + k * kPanel + j);
      }
    }
  }
}

// Rows [n, n + 4) of `rows`, of which `end` is the end, and columns [k0, k0 + kc), turned: the four
// values of one k stand together, k_stride apart from the next in the order of Lanes. Zeros fill
// the lanes beyond kc.
template <class Rows>
void pack_four_lanes(float* packed, int64_t k_stride, const Rows& rows, int64_t n, int64_t end,
                     int64_t k0, int64_t kc) {
  const FourFloats d;
  const auto at = [&](int64_t j) HWY_ATTR { return rows.row(std::min(n + j, end - 1)); };
  const std::array four{at(0), at(1), at(2), at(3)};
  const int64_t n_steps = ceil_div(kc, kLanes), lane_stride = n_steps * k_stride;
  for (int64_t k = 0; k < n_steps * kLanes; k += 4) {
    if (k % 16 == 0) {
      for (int64_t j = 4; j < 8; ++j) hwy::Prefetch(rows.address(n + j, k0 + k));
    }
    // The rank of a lane among the chains has the lower two binary digits swapped, and the upper
    // two: 0 2 1 3.
    const int64_t block = k % kLanes / 4;
    const int64_t rank = 4 * (kLanes == 16 ? block / 2 + block % 2 * 2 : block);
    float* out = packed + rank * lane_stride + k / kLanes * k_stride;
    const auto load = [&](const auto& row) HWY_ATTR {
      return k + 4 <= kc ? row.load(d, k0 + k)
                         : load_first(d, row, k0 + k, std::max<int64_t>(0, kc - k));
    };
    auto v0 = load(four[0]), v1 = load(four[1]), v2 = load(four[2]), v3 = load(four[3]);
    transpose_4x4(d, v0, v1, v2, v3);
    hn::StoreU(v0, d, out);
    hn::StoreU(v2, d, out + lane_stride);
    hn::StoreU(v1, d, out + 2 * lane_stride);
    hn::StoreU(v3, d, out + 3 * lane_stride);
  }
}

void pack_b(float* packed, const WeightView& w, bool transpose_w, int64_t k0, int64_t n0,
            int64_t kc, int64_t nc) {
  with_rows(w, [&](const auto& rows) HWY_ATTR {
    if (transpose_w) {
      pack_b_columns(packed, rows, k0, n0, kc, nc);
    } else {
      pack_b_rows(packed, rows, k0, n0, kc, nc);
    }
  });
}

// sum = the first n_steps of tile * panel, which move on. The only loop that matters.
template <class Order, int kRows, int kVectors>
HWY_INLINE void chain(V (&sum)[kRows][kVectors], const float*& tile, const float*& panel,
                      int64_t n_steps) {
  const Floats d;
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  for (int64_t step = 0; step < n_steps; ++step) {
    V b[kVectors];
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) b[v] = hn::Load(d, panel + v * kLanes);
    HWY_UNROLL(12)
    for (int r = 0; r < kRows; ++r) {
      const V a = hn::Set(d, tile[(r / 4) * (4 * Order::kDepth) + r % 4]);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(a, b[v], sum[r][v]);
    }
    tile += 4;
    panel += kPanel;
  }
}

// sum = tile * panel with one chain a lane. A sum of two chains, of two pairs and so on waits in
// `partial` for its neighbour: as many as the binary digits of the lane's rank.
template <int kRows, int kVectors>
HWY_INLINE void chains_of_lanes(V (&sum)[kRows][kVectors], const float* tile, const float* panel,
                                int64_t depth) {
  const Floats d;
  HWY_ALIGN float partial[4][kRows][kVectors * kLanes];
  for (int64_t rank = 0; rank < kLanes; ++rank) {
    chain<Lanes>(sum, tile, panel, depth / kLanes);
    int level = 0;
    for (; (rank >> level & 1) != 0; ++level) {
      HWY_UNROLL(12)
      for (int r = 0; r < kRows; ++r) {
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] = hn::Add(sum[r][v], hn::Load(d, partial[level][r] + v * kLanes));
        }
      }
    }
    if (rank == kLanes - 1) return;
    HWY_UNROLL(12)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) hn::Store(sum[r][v], d, partial[level][r] + v * kLanes);
    }
  }
}

// c[kRows, kVectors * kLanes] (+)= tile panel
template <class Order, int kRows, int kVectors>
void micro_kernel(float* HWY_RESTRICT c, int64_t ldc, const float* tile, const float* panel,
                  int64_t depth, bool accumulate) {
  const Floats d;
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) hwy::Prefetch(c + r * ldc + v * kLanes);
  }
  V sum[kRows][kVectors];
  if constexpr (std::is_same_v<Order, Chain>) {
    chain<Chain>(sum, tile, panel, depth);
  } else {
    chains_of_lanes(sum, tile, panel, depth);
  }
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      float* out = c + r * ldc + v * kLanes;
      hn::StoreU(accumulate ? hn::Add(hn::LoadU(d, out), sum[r][v]) : sum[r][v], d, out);
    }
  }
}

using MicroKernel = void (*)(float*, int64_t, const float*, const float*, int64_t, bool);
template <class Order, int... kRows>
constexpr auto micro_kernel_table(std::integer_sequence<int, kRows...>) {
  return std::array{std::array<MicroKernel, 2>{micro_kernel<Order, kRows + 1, 1>,
                                               micro_kernel<Order, kRows + 1, 2>}...};
}
// By rows - 1, then by vectors - 1.
template <class Order>
constexpr auto kMicroKernels =
    micro_kernel_table<Order>(std::make_integer_sequence<int, static_cast<int>(kTileRows)>());

// One tile of C with `rows` rows and `cols` columns. At the right edge of C a whole vector or two
// are computed, and copied as far as C reaches.
template <class Order>
void compute_tile(float* c, int64_t ldc, const float* tile, const float* panel, int64_t depth,
                  int64_t rows, int64_t cols, bool accumulate) {
  const size_t vectors = cols <= kLanes ? 1 : 2;
  const MicroKernel kernel = kMicroKernels<Order>[static_cast<size_t>(rows - 1)][vectors - 1];
  if (cols == kLanes || cols == kPanel) return kernel(c, ldc, tile, panel, depth, accumulate);
  HWY_ALIGN float whole[kTileRows * kPanel];
  kernel(whole, kPanel, tile, panel, depth, false);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j) {
      c[r * ldc + j] = whole[r * kPanel + j] + (accumulate ? c[r * ldc + j] : 0.0F);
    }
  }
}

// c (+)= the packed blocks of A and B
template <class Order>
void multiply_blocks(float* c, int64_t ldc, const float* packed_a, const float* packed_b,
                     int64_t mc, int64_t nc, int64_t depth, bool accumulate) {
  for (int64_t j = 0; j < nc; j += kPanel) {
    for (int64_t i = 0; i < mc; i += kTileRows) {
      compute_tile<Order>(c + i * ldc + j, ldc, packed_a + group_offset<Order>(i),
                          packed_b + j * depth, depth, std::min(kTileRows, mc - i),
                          std::min(kPanel, nc - j), accumulate);
    }
  }
}

}  // namespace

void block_gemm_serial(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                       const WeightView& w, bool transpose_w, bool accumulate, float* packed_a,
                       float* packed_b) {
  for (int64_t jc = 0; jc < n; jc += Chain::kCols) {
    const int64_t nc = std::min(Chain::kCols, n - jc);
    for (int64_t pc = 0; pc < k; pc += Chain::kDepth) {
      const int64_t kc = std::min(Chain::kDepth, k - pc);
      pack_b(packed_b, w, transpose_w, pc, jc, kc, nc);
      for (int64_t ic = 0; ic < m; ic += Chain::kRows) {
        const int64_t mc = std::min(Chain::kRows, m - ic);
        pack_a(packed_a, a.at(ic, pc), mc, kc);
        multiply_blocks<Chain>(c + ic * ldc + jc, ldc, packed_a, packed_b, mc, nc, kc,
                               accumulate || pc > 0);
      }
    }
  }
}

void block_gemm_lanes(View<float, 2> y, View<const float, 2> x, const WeightView& w,
                      bool accumulate, float* packed_a, float* packed_b) {
  for (int64_t jc = 0; jc < w.rows; jc += Lanes::kCols) {
    const int64_t nc = std::min(Lanes::kCols, w.rows - jc);
    for (int64_t pc = 0; pc < w.cols; pc += Lanes::kDepth) {
      const int64_t kc = std::min(Lanes::kDepth, w.cols - pc), depth = round_up(kc, kLanes);
      with_rows(w, [&](const auto& rows) HWY_ATTR {
        if (nc % kPanel != 0) {
          std::fill_n(packed_b + nc / kPanel * kPanel * depth, kPanel * depth, 0.0F);
        }
        for (int64_t n = 0; n < nc; n += 4) {
          pack_four_lanes(packed_b + n / kPanel * kPanel * depth + n % kPanel, kPanel, rows, jc + n,
                          w.rows, pc, kc);
        }
      });
      const PlainRows<float> x_rows{WeightView(x)};
      for (int64_t ic = 0; ic < x.dim(0); ic += Lanes::kRows) {
        const int64_t mc = std::min(Lanes::kRows, x.dim(0) - ic);
        for (int64_t i0 = 0; i0 < mc; i0 += kTileRows) {
          const int64_t end = std::min(mc, i0 + kTileRows);
          for (int64_t i = i0; i < end; i += 4) {
            pack_four_lanes(packed_a + group_offset<Lanes>(i), 4, x_rows, ic + i, ic + end, pc, kc);
          }
        }
        multiply_blocks<Lanes>(y.data() + ic * y.stride(0) + jc, y.stride(0), packed_a, packed_b,
                               mc, nc, depth, accumulate || pc > 0);
      }
    }
  }
}

int64_t packed_a_floats(int64_t m) {
  return std::max(ceil_div(std::min(m, Chain::kRows), kTileRows) * kTileFloats<Chain>,
                  ceil_div(std::min(m, Lanes::kRows), kTileRows) * kTileFloats<Lanes>);
}
int64_t packed_b_floats(int64_t n, int64_t k) {
  return std::max(
      round_up(std::min(n, Chain::kCols), kPanel) * std::min(k, Chain::kDepth),
      round_up(std::min(n, Lanes::kCols), kPanel) * round_up(std::min(k, Lanes::kDepth), kLanes));
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(block_gemm_serial);
HWY_EXPORT(block_gemm_lanes);
HWY_EXPORT(packed_a_floats);
HWY_EXPORT(packed_b_floats);

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
  WeightView w;
  const bool transpose = b.col_stride != 1;
  w.data = b.data;
  w.rows = transpose ? n : k;
  w.cols = transpose ? k : n;
  w.row_stride = transpose ? b.col_stride : b.row_stride;
  block_gemm(c, ldc, m, n, k, a, w, transpose, accumulate);
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
