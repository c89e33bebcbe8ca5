// kernels/cpu/bf16/chains-inl.h: the two chains of a group (bf16_gemm.h) without AMX: in F32 anywhere, or
// with AVX-512 BF16. Its instruction adds two products to a sum, that of the high halves first; so a chain
// takes units whose halves are both its own:
//
//   even: (0, 2), (4, 6), ...      odd: (1, 3), (5, 7), ...      (first: high half; second: low half)
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_BF16_CHAINS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_BF16_CHAINS_INL_H_
#undef HADAL_KERNELS_CPU_BF16_CHAINS_INL_H_
#else
#define HADAL_KERNELS_CPU_BF16_CHAINS_INL_H_
#endif

#include "hadal/kernels/cpu/bf16/tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// c[kRows, n_cols] (+)= totals [kRows, 16]
HWY_INLINE void load_totals(float* total, const float* c, int64_t ldc, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) std::copy_n(c + r * ldc, cols, total + r * kTileSide);
}
HWY_INLINE void store_totals(float* c, int64_t ldc, const float* total, int64_t rows,
                             int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) std::copy_n(total + r * kTileSide, cols, c + r * ldc);
}

// In F32. A tile is 512 values: of a [row][chain][16], of b [chain][16][column].
struct F32Chains {
  using Value = float;
  static constexpr int64_t kTile = kTileSide * kTileDepth;
  static constexpr int64_t kRows = kLanes / 2, kVectors = kTileSide / kLanes;

  static HWY_INLINE void spread(float* out, const uint32_t* tile, int64_t row, int64_t chain) {
    const Floats d;
    const Units d32;
    for (int64_t i = 0; i < kTileSide; ++i) {
      for (int64_t j = 0; j < kTileSide; j += kLanes) {
        const auto units = hn::LoadU(d32, tile + i * kTileSide + j);
        float* to = out + i * row + j;
        hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(units)), d, to);
        hn::StoreU(hn::BitCast(d, hn::And(units, hn::Set(d32, kUpperHalf))), d, to + chain);
      }
    }
  }
  static void store_a(float* out, const uint32_t* tile) {
    spread(out, tile, kTileDepth, kTileSide);
  }
  static void store_b(float* out, const uint32_t* tile) {
    spread(out, tile, kTileSide, kTileUnits);
  }

  static HWY_INLINE void run_chain(V (&sum)[kRows][kVectors], const float* a, const float* b) {
    const Floats d;
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
    }
    for (int64_t k = 0; k < kTileSide; ++k) {
      V w[kVectors];
      HWY_UNROLL(4)
      for (int64_t v = 0; v < kVectors; ++v) w[v] = hn::LoadU(d, b + k * kTileSide + v * kLanes);
      HWY_UNROLL(8)
      for (int64_t r = 0; r < kRows; ++r) {
        const V x = hn::Set(d, a[r * kTileDepth + k]);
        HWY_UNROLL(4)
        for (int64_t v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(x, w[v], sum[r][v]);
      }
    }
  }

  // total[kRows, 16] += rows [r, r + kRows) of a times b
  static HWY_INLINE void multiply(float* total, const float* a, const float* b, int64_t n_groups) {
    const Floats d;
    for (int64_t g = 0; g < n_groups; ++g, a += kTile, b += kTile) {
      V even[kRows][kVectors], odd[kRows][kVectors];
      run_chain(even, a, b);
      run_chain(odd, a + kTileSide, b + kTileUnits);
      HWY_UNROLL(8)
      for (int64_t r = 0; r < kRows; ++r) {
        HWY_UNROLL(4)
        for (int64_t v = 0; v < kVectors; ++v) {
          float* to = total + r * kTileSide + v * kLanes;
          hn::StoreU(hn::Add(hn::LoadU(d, to), hn::Add(even[r][v], odd[r][v])), d, to);
        }
      }
    }
  }
  static const float* row(const float* a, int64_t r) { return a + r * kTileDepth; }
};

#if HWY_TARGET == HWY_AVX3_DL
// With AVX-512 BF16: a [row][unit], b [unit][column], the units of the even chain and then of the odd one.
struct PairChains {
  using Value = uint32_t;
  static constexpr int64_t kTile = kTileUnits, kRows = 8, kUnits = kTileSide / 2;

  using VU = hn::Vec<Units>;
  // From the values (0, 1) and (2, 3) of every lane.
  static HWY_INLINE VU even(VU first, VU second) {
    return hn::Or(hn::ShiftLeft<16>(first), hn::And(second, hn::Set(Units(), 0xFFFFU)));
  }
  static HWY_INLINE VU odd(VU first, VU second) {
    return hn::Or(hn::And(first, hn::Set(Units(), kUpperHalf)), hn::ShiftRight<16>(second));
  }
  static HWY_INLINE void store_row(uint32_t* out, const uint32_t* units) {
    const Units d;
    const VU all = hn::LoadU(d, units);
    const VU first = hn::ConcatEven(d, all, all), second = hn::ConcatOdd(d, all, all);
    hn::StoreU(hn::ConcatLowerLower(d, odd(first, second), even(first, second)), d, out);
  }
  static void store_a(uint32_t* out, const uint32_t* tile) {
    for (int64_t r = 0; r < kTileSide; ++r) store_row(out + r * kTileSide, tile + r * kTileSide);
  }
  static void store_b(uint32_t* out, const uint32_t* tile) {
    const Units d;
    for (int64_t i = 0; i < kUnits; ++i) {
      const VU first = hn::LoadU(d, tile + 2 * i * kTileSide);
      const VU second = hn::LoadU(d, tile + (2 * i + 1) * kTileSide);
      hn::StoreU(even(first, second), d, out + i * kTileSide);
      hn::StoreU(odd(first, second), d, out + (kUnits + i) * kTileSide);
    }
  }

  // sum + both products of every lane: of one unit of a with 16 of b.
  static HWY_INLINE V add_pair(V sum, VU b, const uint32_t* a) {
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(b.raw), "m"(*a));
    return sum;
  }

  static HWY_INLINE void multiply(float* total, const uint32_t* a, const uint32_t* b,
                                  int64_t n_groups) {
    const Floats d;
    const Units d32;
    V sum[kRows];
    HWY_UNROLL(8)
    for (int64_t r = 0; r < kRows; ++r) sum[r] = hn::LoadU(d, total + r * kTileSide);
    for (int64_t g = 0; g < n_groups; ++g, a += kTile, b += kTile) {
      V even_sum[kRows], odd_sum[kRows];
      HWY_UNROLL(8)
      for (int64_t r = 0; r < kRows; ++r) even_sum[r] = odd_sum[r] = hn::Zero(d);
      for (int64_t i = 0; i < kUnits; ++i) {
        const VU even_b = hn::LoadU(d32, b + i * kTileSide);
        const VU odd_b = hn::LoadU(d32, b + (kUnits + i) * kTileSide);
        HWY_UNROLL(8)
        for (int64_t r = 0; r < kRows; ++r) {
          even_sum[r] = add_pair(even_sum[r], even_b, a + r * kTileSide + i);
          odd_sum[r] = add_pair(odd_sum[r], odd_b, a + r * kTileSide + kUnits + i);
        }
      }
      HWY_UNROLL(8)
      for (int64_t r = 0; r < kRows; ++r) {
        sum[r] = hn::Add(sum[r], hn::Add(even_sum[r], odd_sum[r]));
      }
    }
    HWY_UNROLL(8)
    for (int64_t r = 0; r < kRows; ++r) hn::StoreU(sum[r], d, total + r * kTileSide);
  }
  static const uint32_t* row(const uint32_t* a, int64_t r) { return a + r * kTileSide; }
};
#endif

// c[m,n] (+)= packed blocks, [panel of 16][group] tiles each.
template <class Chains>
void multiply_chains(float* c, int64_t ldc, const typename Chains::Value* a,
                     const typename Chains::Value* b, int64_t m, int64_t n, int64_t n_groups,
                     bool accumulate) {
  HWY_ALIGN float total[Chains::kRows * kTileSide] = {};
  for (int64_t j = 0; j < n; j += kTileSide) {
    const int64_t cols = std::min(kTileSide, n - j);
    for (int64_t i = 0; i < m; i += Chains::kRows) {
      const int64_t rows = std::min(Chains::kRows, m - i);
      float* to = c + i * ldc + j;
      if (accumulate) {
        load_totals(total, to, ldc, rows, cols);
      } else {
        std::fill(total, total + Chains::kRows * kTileSide, 0.0F);
      }
      const auto* panel = a + i / kTileSide * n_groups * Chains::kTile;
      Chains::multiply(total, Chains::row(panel, i % kTileSide),
                       b + j / kTileSide * n_groups * Chains::kTile, n_groups);
      store_totals(to, ldc, total, rows, cols);
    }
  }
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
