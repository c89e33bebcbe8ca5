// kernels/cpu/packing-inl.h: the operands of kernels/cpu/block_gemm.h as its micro-kernel reads them.
//
//   packed B: panel p holds columns [p*kPanel, ...) as [k][kPanel], padded with zeros
//   packed A: tile r holds rows [r*kTileRows, ...) as groups of four, each [k][4], padded
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_PACKING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_PACKING_INL_H_
#undef HADAL_KERNELS_CPU_PACKING_INL_H_
#else
#define HADAL_KERNELS_CPU_PACKING_INL_H_
#endif

#include <array>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/block_gemm.h"
#include "hadal/kernels/cpu/few_rows.h"
#include "hadal/kernels/cpu/scaled_input-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

constexpr int64_t kPanel = 2 * kLanes;
// Accumulators plus operands must fit the registers: 12 x 2 of 32 with AVX-512, 6 x 2 of 16 else.
constexpr int64_t kMostTileRows = HWY_MAX_BYTES >= 64 ? 12 : 6;

// How the products of one element of C are summed, which blocks of A [kRows, kDepth] (in L2) and B
// [kDepth, kCols] are packed for it, and what the micro-kernel holds in registers: the sums of
// kTileRows rows, kTogether of them for each element.
//
// Chain: over ascending k.
struct Chain {
  static constexpr int64_t kDepth = kDepthNn, kRows = 192, kCols = 1024;
  static constexpr int64_t kTileRows = kMostTileRows;
  static constexpr int kTogether = 1;
  static constexpr int64_t kGap = 0;
};
// Lanes: as few_rows_nt does it, k and k + kLanes in the same chain and then the chains in pairs. A
// block is packed lane by lane, in the order in which the chains meet. With AVX-512 two chains run
// together: their sum stays in registers, and only every second one passes through memory.
struct Lanes {
  static constexpr int64_t kDepth = kDepthNt, kRows = 96, kCols = 1024;
  static constexpr int kTogether = HWY_MAX_BYTES >= 64 ? 2 : 1;
  static constexpr int64_t kTileRows = kMostTileRows / kTogether;
  static constexpr int64_t kGap = kLanes;  // a step behind each chain
};
// A group of four rows of a packed tile, and the tile.
template <class Order>
constexpr int64_t kGroupFloats = 4 * (Order::kDepth + Order::kGap);
template <class Order>
constexpr int64_t kTileFloats = round_up(Order::kTileRows, 4) / 4 * kGroupFloats<Order>;

// Where the group of four rows that begins at row i stands in the packed block.
template <class Order>
HWY_INLINE int64_t group_offset(int64_t i) {
  constexpr int64_t kRows = Order::kTileRows;
  return i / kRows * kTileFloats<Order> + i % kRows / 4 * kGroupFloats<Order>;
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
    for (int64_t i0 = 0; i0 < mc; i0 += Chain::kTileRows) {
      const int64_t end = std::min(mc, i0 + Chain::kTileRows);
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

// Rows that are contiguous in k: four of them are interleaved at a time. row_of(i) is row i as it is to
// be multiplied.
template <class RowOf>
void pack_a_rows(float* packed, const RowOf& row_of, int64_t mc, int64_t kc) {
  const Floats d;
  const OneFloat one;
  for (int64_t i0 = 0; i0 < mc; i0 += Chain::kTileRows) {
    const int64_t end = std::min(mc, i0 + Chain::kTileRows);
    for (int64_t i = i0; i < end; i += 4) {
      float* out = packed + group_offset<Chain>(i);
      const int64_t n = std::min<int64_t>(4, end - i);
      const auto row = [&](int64_t r) HWY_ATTR { return row_of(i + std::min(r, n - 1)); };
      const std::array four{row(0), row(1), row(2), row(3)};
      int64_t k = 0;
      for (; n == 4 && k + kLanes <= kc; k += kLanes) {
        for (int64_t r = 4; r < 8; ++r) hwy::Prefetch(row_of(i + r).data + k);
        hn::StoreInterleaved4(four[0].load(d, k), four[1].load(d, k), four[2].load(d, k),
                              four[3].load(d, k), d, out + 4 * k);
      }
      for (; k < kc; ++k) {
        for (size_t r = 0; r < static_cast<size_t>(n); ++r) {
          hn::StoreU(four[r].load(one, k), one, out + 4 * k + r);
        }
      }
    }
  }
}

// Rows [0, mc) x columns k [0, kc) of `a`, the columns times `factors` [kc] where there are some, for
// rows that are contiguous in k. Slots of rows beyond mc are left as they are: the micro-kernel for
// fewer rows never reads them.
void pack_a(float* packed, const Operand& a, const float* factors, int64_t mc, int64_t kc) {
  const auto at = [&](int64_t i) HWY_ATTR { return a.data + i * a.row_stride; };
  if (a.col_stride != 1) {
    pack_a_side_by_side(packed, a.data, a.col_stride, mc, kc);
  } else if (factors != nullptr) {
    pack_a_rows(
        packed,
        [&](int64_t i) HWY_ATTR {
          return FactoredRow{at(i), factors};
        },
        mc, kc);
  } else {
    pack_a_rows(
        packed, [&](int64_t i) HWY_ATTR { return PlainRow<float>{at(i)}; }, mc, kc);
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

// Between two values of k that are neighbours in a chain of Lanes stand four or kPanel floats
// (k_stride); the chains stand one step further apart than they are long, lest all lines of a step
// fall into one set of L1.
HWY_INLINE int64_t lane_stride(int64_t kc, int64_t k_stride) {
  return (ceil_div(kc, kLanes) + 1) * k_stride;
}

// Columns [k0 + k, k0 + k + kLanes) of four rows, turned: the four values of one k stand together.
// Zeros fill the lanes beyond kc. `out` is where the step's first lane stands.
template <class Row>
HWY_INLINE void pack_step_of_four(float* out, int64_t stride, const std::array<Row, 4>& four,
                                  int64_t k0, int64_t k, int64_t kc) {
  const FourFloats d;
  for (int64_t block = 0; block < kLanes / 4; ++block) {
    // The rank of a lane among the chains has the lower two binary digits swapped, and the upper
    // two: 0 2 1 3.
    const int64_t rank = 4 * (kLanes == 16 ? block / 2 + block % 2 * 2 : block);
    const int64_t at = k + 4 * block, n = std::clamp<int64_t>(kc - at, 0, 4);
    const auto load = [&](const Row& row) HWY_ATTR {
      return n == 4 ? row.load(d, k0 + at) : load_first(d, row, k0 + at, n);
    };
    auto v0 = load(four[0]), v1 = load(four[1]), v2 = load(four[2]), v3 = load(four[3]);
    transpose_4x4(d, v0, v1, v2, v3);
    hn::StoreU(v0, d, out + rank * stride);
    hn::StoreU(v2, d, out + (rank + 1) * stride);
    hn::StoreU(v1, d, out + (rank + 2) * stride);
    hn::StoreU(v3, d, out + (rank + 3) * stride);
  }
}

// B = w^T for Lanes, from row n0 and column k0 of w on. Eight rows side by side: with four a line of
// the panel leaves L1 before it is written, with a whole panel's the prefetchers lose the rows.
template <class Rows>
void pack_b_lanes(float* packed, const Rows& w, int64_t k0, int64_t n0, int64_t kc, int64_t nc) {
  const int64_t stride = lane_stride(kc, kPanel);
  for (int64_t j0 = 0; j0 < round_up(nc, kPanel); j0 += 8) {
    const auto row = [&](int64_t j) HWY_ATTR { return w.row(n0 + std::min(j0 + j, nc - 1)); };
    const std::array low{row(0), row(1), row(2), row(3)}, high{row(4), row(5), row(6), row(7)};
    float* const out = packed + j0 / kPanel * (kLanes * stride) + j0 % kPanel;
    for (int64_t k = 0; k < kc; k += kLanes) {
      for (int64_t j = 8; j < 16; ++j) hwy::Prefetch(w.address(n0 + j0 + j, k0 + k));
      pack_step_of_four(out + k / kLanes * kPanel, stride, low, k0, k, kc);
      pack_step_of_four(out + k / kLanes * kPanel + 4, stride, high, k0, k, kc);
    }
  }
}

// A for Lanes, from row m0 and column k0 on; row(m) is a row of x as it is to be multiplied.
template <class RowOf>
void pack_a_lanes(float* packed, const RowOf& row_of, int64_t m0, int64_t k0, int64_t mc,
                  int64_t kc) {
  for (int64_t i0 = 0; i0 < mc; i0 += Lanes::kTileRows) {
    const int64_t end = std::min(mc, i0 + Lanes::kTileRows);
    for (int64_t i = i0; i < end; i += 4) {
      const auto row = [&](int64_t j) HWY_ATTR { return row_of(m0 + std::min(i + j, end - 1)); };
      const std::array four{row(0), row(1), row(2), row(3)};
      for (int64_t k = 0; k < kc; k += kLanes) {
        for (int64_t j = 4; j < 8; ++j) hwy::Prefetch(row_of(m0 + i + j).data + k0 + k);
        pack_step_of_four(packed + group_offset<Lanes>(i) + k / kLanes * 4, lane_stride(kc, 4),
                          four, k0, k, kc);
      }
    }
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

}  // namespace
}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
