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

// Rows [0, rows) x columns k [0, kc) of `a` as one tile. Rows beyond are left as they are: the
// micro-kernel for fewer rows never reads them.
void pack_a_tile(float* tile, const Operand& a, int64_t rows, int64_t kc) {
  const FourFloats d;
  const float* data = static_cast<const float*>(a.data);
  for (int64_t group = 0; 4 * group < rows; ++group) {
    float* out = tile + group * 4 * kKc;
    const int64_t n = std::min<int64_t>(4, rows - 4 * group);
    const float* from = data + 4 * group * a.row_stride;
    int64_t k = 0;
    if (n == 4 && a.row_stride == 1) {
      for (; k < kc; ++k) hn::StoreU(hn::LoadU(d, from + k * a.col_stride), d, out + 4 * k);
    } else if (n == 4) {
      const float *r0 = from, *r1 = r0 + a.row_stride, *r2 = r1 + a.row_stride;
      const float* r3 = r2 + a.row_stride;
      for (; k + 4 <= kc; k += 4) {
        auto v0 = hn::LoadU(d, r0 + k), v1 = hn::LoadU(d, r1 + k);
        auto v2 = hn::LoadU(d, r2 + k), v3 = hn::LoadU(d, r3 + k);
        transpose_4x4(d, v0, v1, v2, v3);
        hn::StoreU(v0, d, out + 4 * k);
        hn::StoreU(v1, d, out + 4 * k + 4);
        hn::StoreU(v2, d, out + 4 * k + 8);
        hn::StoreU(v3, d, out + 4 * k + 12);
      }
    }
    for (; k < kc; ++k) {
      for (int64_t r = 0; r < n; ++r) out[4 * k + r] = from[r * a.row_stride + k * a.col_stride];
    }
  }
}

// Columns [0, cols) of b [kc, ...] as one panel; the columns beyond are zero.
template <class Stored>
void pack_b_panel(float* panel, const Stored* b, int64_t k_stride, int64_t n_stride, int64_t kc,
                  int64_t cols) {
  const Floats d;
  if (cols < kPanel) std::fill(panel, panel + kc * kPanel, 0.0F);
  if (n_stride == 1 && cols == kPanel) {
    for (int64_t k = 0; k < kc; ++k) {
      hn::StoreU(load_stored(d, b + k * k_stride), d, panel + k * kPanel);
      hn::StoreU(load_stored(d, b + k * k_stride + kLanes), d, panel + k * kPanel + kLanes);
    }
    return;
  }
  const FourFloats d4;
  int64_t n = 0;
  if (k_stride == 1) {
    for (; n + 4 <= cols; n += 4) {
      const Stored *r0 = b + n * n_stride, *r1 = r0 + n_stride, *r2 = r1 + n_stride;
      const Stored* r3 = r2 + n_stride;
      float* out = panel + n;
      int64_t k = 0;
      for (; k + 4 <= kc; k += 4) {
        auto v0 = load_stored(d4, r0 + k), v1 = load_stored(d4, r1 + k);
        auto v2 = load_stored(d4, r2 + k), v3 = load_stored(d4, r3 + k);
        transpose_4x4(d4, v0, v1, v2, v3);
        hn::StoreU(v0, d4, out + k * kPanel);
        hn::StoreU(v1, d4, out + (k + 1) * kPanel);
        hn::StoreU(v2, d4, out + (k + 2) * kPanel);
        hn::StoreU(v3, d4, out + (k + 3) * kPanel);
      }
      for (; k < kc; ++k) {
        out[k * kPanel] = to_f32(r0[k]);
        out[k * kPanel + 1] = to_f32(r1[k]);
        out[k * kPanel + 2] = to_f32(r2[k]);
        out[k * kPanel + 3] = to_f32(r3[k]);
      }
    }
  }
  for (int64_t k = 0; k < kc; ++k) {
    for (int64_t j = n; j < cols; ++j)
      panel[k * kPanel + j] = to_f32(b[k * k_stride + j * n_stride]);
  }
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
      for (int64_t j = 0; j < nc; j += kPanel) {
        const Operand from = b.at(pc, jc + j);
        with_stored(b.dtype, from.data, [&](const auto* data) HWY_ATTR {
          pack_b_panel(packed_b + j * kc, data, b.row_stride, b.col_stride, kc,
                       std::min(kPanel, nc - j));
        });
      }
      for (int64_t ic = 0; ic < m; ic += kMc) {
        const int64_t mc = std::min(kMc, m - ic);
        for (int64_t i = 0; i < mc; i += kTileRows) {
          pack_a_tile(packed_a + i / kTileRows * kTileFloats, a.at(ic + i, pc),
                      std::min(kTileRows, mc - i), kc);
        }
        for (int64_t j = 0; j < nc; j += kPanel) {
          const float* panel = packed_b + j * kc;
          const int64_t cols = std::min(kPanel, nc - j);
          for (int64_t i = 0; i < mc; i += kTileRows) {
            const int64_t rows = std::min(kTileRows, mc - i);
            const float* tile = packed_a + i / kTileRows * kTileFloats;
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
