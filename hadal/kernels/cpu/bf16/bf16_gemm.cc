// Both operands are packed in blocks that stay in L2: b's first, then, for each of them, a's.
#include "hadal/kernels/cpu/bf16/bf16_gemm.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12, of its own intrinsics
#endif

#include <algorithm>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/bf16/amx.h"
#include "hadal/kernels/cpu/bf16/denormals_as_zeros.h"
#include "hadal/kernels/cpu/scratch.h"

#define HWY_WANT_AVX3_DL
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/bf16/bf16_gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/bf16/chains-inl.h"

// Declared once for all instruction sets.
#ifndef HADAL_KERNELS_CPU_BF16_GEMM_CC_
#define HADAL_KERNELS_CPU_BF16_GEMM_CC_
namespace hadal::cpu {
enum class Bf16Multiplier : uint8_t { kF32, kPairs, kAmx };
inline constexpr int64_t kBlockDepth = 1024, kBlockRows = 128, kBlockCols = 512;
}  // namespace hadal::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

// Tiles as AMX reads them.
struct AmxTiles {
  using Value = uint32_t;
  static constexpr int64_t kTile = kTileUnits;
  static void store_a(uint32_t* out, const uint32_t* tile) { std::copy_n(tile, kTile, out); }
  static void store_b(uint32_t* out, const uint32_t* tile) { std::copy_n(tile, kTile, out); }
};

// Where a block begins in its operand, and how far it reaches.
struct Block {
  int64_t first, n, k, n_k;
  int64_t panels() const { return ceil_div(n, kTileSide); }
  int64_t groups() const { return ceil_div(n_k, kTileDepth); }
};

// packed[panel][group]; a's tiles are [row][unit], b's turned.
template <class Chains, bool kIsB>
void pack(typename Chains::Value* packed, const Bf16Operand& x, const Block& block) {
  const auto store = [&](int64_t panel, int64_t group, const uint32_t* tile) HWY_ATTR {
    auto* out = packed + (panel * block.groups() + group) * Chains::kTile;
    if constexpr (kIsB) {
      Chains::store_b(out, tile);
    } else {
      Chains::store_a(out, tile);
    }
  };
  HWY_ALIGN uint32_t tile[kTileUnits], turned[kTileUnits];
  with_bf16_rows(x.values, [&](const auto& rows) HWY_ATTR {
    // In the order in which the rows lie in memory.
    if (x.turned) {
      for (int64_t g = 0; g < block.groups(); ++g) {
        for (int64_t p = 0; p < block.panels(); ++p) {
          tile_of_columns(tile, rows, block.first + p * kTileSide, block.n - p * kTileSide,
                          block.k + g * kTileDepth, block.n_k - g * kTileDepth);
          if constexpr (!kIsB) turn_tile(turned, tile);
          store(p, g, kIsB ? tile : turned);
        }
      }
    } else {
      for (int64_t p = 0; p < block.panels(); ++p) {
        for (int64_t g = 0; g < block.groups(); ++g) {
          tile_of_rows(tile, rows, block.first + p * kTileSide, block.n - p * kTileSide,
                       block.k + g * kTileDepth, block.n_k - g * kTileDepth);
          if constexpr (kIsB) turn_tile(turned, tile);
          store(p, g, kIsB ? turned : tile);
        }
      }
    }
  });
}

template <class Chains>
void multiply_packed(float* c, int64_t ldc, const typename Chains::Value* a,
                     const typename Chains::Value* b, int64_t m, int64_t n, int64_t n_groups,
                     bool accumulate) {
  if constexpr (std::is_same_v<Chains, AmxTiles>) {
    amx_multiply(c, ldc,
                 {reinterpret_cast<const uint16_t*>(a), reinterpret_cast<const uint16_t*>(b), m, n,
                  n_groups},
                 accumulate);
  } else {
    multiply_chains<Chains>(c, ldc, a, b, m, n, n_groups, accumulate);
  }
}

template <class Chains>
void multiply_blocks(View<float, 2> c, const Bf16Operand& a, const Bf16Operand& b, bool accumulate,
                     float* memory) {
  static_assert(sizeof(typename Chains::Value) == sizeof(float));
  const int64_t m = a.n(), n = b.n(), depth = a.depth();
  auto* packed_b = reinterpret_cast<typename Chains::Value*>(memory);
  for (int64_t k = 0; k < depth; k += kBlockDepth) {
    const int64_t n_k = std::min(kBlockDepth, depth - k);
    for (int64_t j = 0; j < n; j += kBlockCols) {
      const Block cols{j, std::min(kBlockCols, n - j), k, n_k};
      pack<Chains, true>(packed_b, b, cols);
      auto* packed_a = packed_b + cols.panels() * cols.groups() * Chains::kTile;
      for (int64_t i = 0; i < m; i += kBlockRows) {
        const Block rows{i, std::min(kBlockRows, m - i), k, n_k};
        pack<Chains, false>(packed_a, a, rows);
        multiply_packed<Chains>(&c(i, j), c.stride(0), packed_a, packed_b, rows.n, cols.n,
                                cols.groups(), accumulate || k > 0);
      }
    }
  }
}

}  // namespace

bool chosen_is_avx3_dl() { return HWY_TARGET == HWY_AVX3_DL; }

void multiply_bf16(View<float, 2> c, const Bf16Operand& a, const Bf16Operand& b, bool accumulate,
                   Bf16Multiplier multiplier, float* memory) {
#if HWY_TARGET == HWY_AVX3_DL
  if (multiplier == Bf16Multiplier::kAmx) {
    return multiply_blocks<AmxTiles>(c, a, b, accumulate, memory);
  }
  if (multiplier == Bf16Multiplier::kPairs) {
    return multiply_blocks<PairChains>(c, a, b, accumulate, memory);
  }
#endif
  (void)multiplier;
  multiply_blocks<F32Chains>(c, a, b, accumulate, memory);
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(chosen_is_avx3_dl);
HWY_EXPORT(multiply_bf16);

Bf16Multiplier bf16_multiplier() {
  if (!has_bf16_dots()) return Bf16Multiplier::kF32;
  return amx_usable() ? Bf16Multiplier::kAmx : Bf16Multiplier::kPairs;
}

// Floats that the packed blocks take: a value is one at most.
int64_t packed_floats(int64_t m, int64_t n, int64_t depth) {
  const int64_t rows = round_up(std::min(m, kBlockRows), int64_t{16});
  const int64_t cols = round_up(std::min(n, kBlockCols), int64_t{16});
  return (rows + cols) * round_up(std::min(depth, kBlockDepth), int64_t{32});
}

}  // namespace

// Zen 4 and Xeons since Cooper Lake that have all of AVX3_DL too.
bool has_bf16_dots() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0;
  return has && HWY_DYNAMIC_DISPATCH(chosen_is_avx3_dl)();
#else
  return false;
#endif
}

const char* bf16_products_name() {
  switch (bf16_multiplier()) {
    case Bf16Multiplier::kAmx:
      return "AMX";
    case Bf16Multiplier::kPairs:
      return "AVX-512 BF16";
    case Bf16Multiplier::kF32:
      break;
  }
  return "F32";
}

void bf16_gemm(View<float, 2> c, const Bf16Operand& a, const Bf16Operand& b, bool accumulate) {
  if (a.depth() == 0 && !accumulate) {
    for (int64_t i = 0; i < c.dim(0); ++i) std::fill(c.row(i).begin(), c.row(i).end(), 0.0F);
  }
  const DenormalsAsZeros as_instructions_do;
  thread_local Scratch packed;
  HWY_DYNAMIC_DISPATCH(multiply_bf16)
  (c, a, b, accumulate, bf16_multiplier(), packed.take(packed_floats(a.n(), b.n(), a.depth())));
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
