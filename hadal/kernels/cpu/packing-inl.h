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
  static constexpr int64_t kDepth = kDepthNt, kRows = 96, kCols = 1024;
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

}  // namespace
}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
