// The classic three blockings: B is packed in panels of two vectors per row of k, A in tiles of
// kTileRows; the micro-kernel keeps a whole tile of C in registers.
//
//   packed B: panel p holds columns [p*kPanel, ...) as [k][kPanel], padded with zeros
//   packed A: tile r holds rows [r*kTileRows, ...) as groups of four, each [k][4], padded
#include "hadal/kernels/cpu/block_gemm.h"

#include <array>
#include <utility>

#include "hadal/core/checked_math.h"
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

// A panel (kKc x kPanel) and a tile of A (kKc x kTileRows) stay in L1, kMc rows of A in L2.
constexpr int64_t kKc = 256;
constexpr int64_t kMc = 192;
constexpr int64_t kNc = 1024;
constexpr int64_t kTileFloats = kGroups * 4 * kKc;

// Packing waits for memory more than it computes: what the next four rows hold is asked for early.
template <class T>
HWY_INLINE void prefetch_four(const T* p, int64_t row_stride) {
  hwy::Prefetch(p);
  hwy::Prefetch(p + row_stride);
  hwy::Prefetch(p + 2 * row_stride);
  hwy::Prefetch(p + 3 * row_stride);
}

// Where the group of four rows that begins at row i stands in the packed block.
HWY_INLINE int64_t group_offset(int64_t i) {
  return i / kTileRows * kTileFloats + i % kTileRows / 4 * 4 * kKc;
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
        float* out = packed + group_offset(i) + 4 * k0;
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
      float* out = packed + group_offset(i);
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
  const float* data = static_cast<const float*>(a.data);
  if (a.col_stride == 1) {
    pack_a_rows(packed, data, a.row_stride, mc, kc);
  } else {
    pack_a_side_by_side(packed, data, a.col_stride, mc, kc);
  }
}

// B with contiguous rows [kc, nc]: each row is read at full width and spread over the panels.
template <class Stored>
void pack_b_rows(float* packed, const Stored* b, int64_t k_stride, int64_t kc, int64_t nc) {
  const Floats d;
  const int64_t n_whole = nc / kPanel * kPanel;
  for (int64_t k = 0; k < kc; ++k) {
    const Stored* row = b + k * k_stride;
    for (int64_t j = 0; j < n_whole; j += kPanel) {
      float* out = packed + j * kc + k * kPanel;
      hwy::Prefetch(row + 4 * k_stride + j);
      hwy::Prefetch(row + 4 * k_stride + j + kLanes);
      hn::StoreU(load_stored(d, row + j), d, out);
      hn::StoreU(load_stored(d, row + j + kLanes), d, out + kLanes);
    }
    if (n_whole == nc) continue;
    float* out = packed + n_whole * kc + k * kPanel;
    for (int64_t j = n_whole; j < nc; ++j) out[j - n_whole] = to_f32(row[j]);
    std::fill(out + (nc - n_whole), out + kPanel, 0.0F);
  }
}

// B with contiguous columns, as a weight [nc, kc] has them: 4 x 4 elements are turned at a time.
template <class Stored>
void pack_b_columns(float* packed, const Stored* b, int64_t n_stride, int64_t kc, int64_t nc) {
  const FourFloats d;
  if (nc % kPanel != 0) {
    float* last = packed + nc / kPanel * kPanel * kc;
    std::fill(last, last + kPanel * kc, 0.0F);
  }
  for (int64_t n = 0; n < nc; n += 4) {
    float* out = packed + n / kPanel * kPanel * kc + n % kPanel;
    const Stored* from = b + n * n_stride;
    const int64_t n_valid = std::min<int64_t>(4, nc - n);
    int64_t k = 0;
    for (; n_valid == 4 && k + 4 <= kc; k += 4) {
      if (k % 16 == 0) prefetch_four(from + 4 * n_stride + k, n_stride);
      auto v0 = load_stored(d, from + k), v1 = load_stored(d, from + n_stride + k);
      auto v2 = load_stored(d, from + 2 * n_stride + k),
           v3 = load_stored(d, from + 3 * n_stride + k);
      transpose_4x4(d, v0, v1, v2, v3);
      hn::StoreU(v0, d, out + k * kPanel);
      hn::StoreU(v1, d, out + (k + 1) * kPanel);
      hn::StoreU(v2, d, out + (k + 2) * kPanel);
      hn::StoreU(v3, d, out + (k + 3) * kPanel);
    }
    for (; k < kc; ++k) {
      for (int64_t j = 0; j < n_valid; ++j) out[k * kPanel + j] = to_f32(from[j * n_stride + k]);
    }
  }
}

void pack_b(float* packed, const Operand& b, int64_t kc, int64_t nc) {
  with_stored(b.form, b.data, [&](const auto* data) HWY_ATTR {
    if (b.col_stride == 1) {
      pack_b_rows(packed, data, b.row_stride, kc, nc);
    } else {
      pack_b_columns(packed, data, b.col_stride, kc, nc);
    }
  });
}

// c[kRows, kVectors * kLanes] (+)= tile panel. The only loop that matters.
template <int kRows, int kVectors>
void micro_kernel(float* HWY_RESTRICT c, int64_t ldc, const float* HWY_RESTRICT tile,
                  const float* HWY_RESTRICT panel, int64_t kc, bool accumulate) {
  const Floats d;
  V sum[kRows][kVectors];
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = hn::Zero(d);
      hwy::Prefetch(c + r * ldc + v * kLanes);
    }
  }
  for (int64_t k = 0; k < kc; ++k) {
    V b[kVectors];
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) b[v] = hn::Load(d, panel + v * kLanes);
    HWY_UNROLL(12)
    for (int r = 0; r < kRows; ++r) {
      const V a = hn::Set(d, tile[(r / 4) * (4 * kKc) + r % 4]);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(a, b[v], sum[r][v]);
    }
    tile += 4;
    panel += kPanel;
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
template <int... kRows>
constexpr auto micro_kernel_table(std::integer_sequence<int, kRows...>) {
  return std::array{
      std::array<MicroKernel, 2>{micro_kernel<kRows + 1, 1>, micro_kernel<kRows + 1, 2>}...};
}
// By rows - 1, then by vectors - 1.
constexpr auto kMicroKernels =
    micro_kernel_table(std::make_integer_sequence<int, static_cast<int>(kTileRows)>());

// One tile of C with `rows` rows and `cols` columns. At the right edge of C a whole vector or two
// are computed, and copied as far as C reaches.
void compute_tile(float* c, int64_t ldc, const float* tile, const float* panel, int64_t kc,
                  int64_t rows, int64_t cols, bool accumulate) {
  const size_t vectors = cols <= kLanes ? 1 : 2;
  const MicroKernel kernel = kMicroKernels[static_cast<size_t>(rows - 1)][vectors - 1];
  if (cols == kLanes || cols == kPanel) return kernel(c, ldc, tile, panel, kc, accumulate);
  HWY_ALIGN float whole[kTileRows * kPanel];
  kernel(whole, kPanel, tile, panel, kc, false);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j) {
      c[r * ldc + j] = whole[r * kPanel + j] + (accumulate ? c[r * ldc + j] : 0.0F);
    }
  }
}

}  // namespace

void block_gemm_serial(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                       const Operand& b, bool accumulate, float* packed_a, float* packed_b) {
  for (int64_t jc = 0; jc < n; jc += kNc) {
    const int64_t nc = std::min(kNc, n - jc);
    for (int64_t pc = 0; pc < k; pc += kKc) {
      const int64_t kc = std::min(kKc, k - pc);
      const bool add = accumulate || pc > 0;
      pack_b(packed_b, b.at(pc, jc), kc, nc);
      for (int64_t ic = 0; ic < m; ic += kMc) {
        const int64_t mc = std::min(kMc, m - ic);
        pack_a(packed_a, a.at(ic, pc), mc, kc);
        for (int64_t j = 0; j < nc; j += kPanel) {
          const float* panel = packed_b + j * kc;
          const int64_t cols = std::min(kPanel, nc - j);
          for (int64_t i = 0; i < mc; i += kTileRows) {
            const int64_t rows = std::min(kTileRows, mc - i);
            const float* tile = packed_a + group_offset(i);
            compute_tile(c + (ic + i) * ldc + jc + j, ldc, tile, panel, kc, rows, cols, add);
          }
        }
      }
    }
  }
}

int64_t packed_a_floats(int64_t m) { return ceil_div(std::min(m, kMc), kTileRows) * kTileFloats; }
int64_t packed_b_floats(int64_t n, int64_t k) {
  return round_up(std::min(n, kNc), kPanel) * std::min(k, kKc);
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(block_gemm_serial);
HWY_EXPORT(packed_a_floats);
HWY_EXPORT(packed_b_floats);

}  // namespace

void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const Operand& b, bool accumulate) {
  if (k == 0 && !accumulate) {
    for (int64_t i = 0; i < m; ++i) std::fill(c + i * ldc, c + i * ldc + n, 0.0F);
  }
  thread_local Scratch packed_a, packed_b;
  HWY_DYNAMIC_DISPATCH(block_gemm_serial)
  (c, ldc, m, n, k, a, b, accumulate, packed_a.take(HWY_DYNAMIC_DISPATCH(packed_a_floats)(m)),
   packed_b.take(HWY_DYNAMIC_DISPATCH(packed_b_floats)(n, k)));
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
