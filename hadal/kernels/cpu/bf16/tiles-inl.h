// kernels/cpu/bf16/tiles-inl.h: operands of kernels/cpu/bf16/bf16_gemm.h as tiles of 16 by 32 along k: 16 x 16
// units of 32 bits, a unit being the values of an even k (low half) and the one behind it.
//
//   a: tile[row][unit]      b: tile[unit][column]
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_BF16_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_BF16_TILES_INL_H_
#undef HADAL_KERNELS_CPU_BF16_TILES_INL_H_
#else
#define HADAL_KERNELS_CPU_BF16_TILES_INL_H_
#endif

#include <array>
#include <cstring>

#include "hadal/kernels/cpu/turned_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

using Units = hn::RebindToUnsigned<Floats>;
inline constexpr int64_t kTileSide = 16, kTileDepth = 32, kTileUnits = kTileSide * kTileSide;
inline constexpr uint32_t kUpperHalf = 0xFFFF0000U;

// The values from column k on, of which n exist; zeros behind them.
template <class Row>
HWY_INLINE void store_row(uint32_t* units, const Row& row, int64_t k, int64_t n) {
  const Floats d;
  const hn::Repartition<uint16_t, Floats> d16;
  auto* out = reinterpret_cast<uint16_t*>(units);
  if (n < kTileDepth) {
    std::fill(units, units + kTileSide, 0U);
    for (int64_t i = 0; i < n; ++i) {
      out[i] = to_bf16(hn::GetLane(row.load(OneFloat(), k + i))).bits;
    }
    return;
  }
  HWY_UNROLL(4)
  for (int64_t i = 0; i < kTileDepth; i += 2 * kLanes) {
    const auto low = hn::BitCast(d16, row.load(d, k + i));
    const auto high = hn::BitCast(d16, row.load(d, k + i + kLanes));
    hn::StoreU(hn::ConcatOdd(d16, high, low), d16, out + i);
  }
}
HWY_INLINE void store_row(uint32_t* units, const PlainRow<bf16>& row, int64_t k, int64_t n) {
  if (n < kTileDepth) std::fill(units, units + kTileSide, 0U);
  std::memcpy(units, row.data + k, static_cast<size_t>(2 * std::min(n, kTileDepth)));
}

// tile[row][unit] of rows [r, r + n_rows) of a matrix whose columns are k.
template <class Rows>
HWY_INLINE void tile_of_rows(uint32_t* tile, const Rows& rows, int64_t r, int64_t n_rows, int64_t k,
                             int64_t n_k) {
  for (int64_t i = 0; i < std::min(n_rows, kTileSide); ++i) {
    store_row(tile + i * kTileSide, rows.row(r + i), k, n_k);
  }
  if (n_rows < kTileSide) std::fill(tile + n_rows * kTileSide, tile + kTileUnits, 0U);
}

// tile[unit][column] of columns [j, j + n_cols) of a matrix whose rows are k.
template <class Rows>
HWY_INLINE void tile_of_columns(uint32_t* tile, const Rows& rows, int64_t j, int64_t n_cols,
                                int64_t k, int64_t n_k) {
  const Floats d;
  const Units d32;
  const bool whole = n_cols >= kTileSide && n_k >= kTileDepth;
  if (!whole) std::fill(tile, tile + kTileUnits, 0U);
  for (int64_t unit = 0; 2 * unit < std::min(n_k, kTileDepth); ++unit) {
    const auto even = rows.row(k + 2 * unit);
    uint32_t* out = tile + unit * kTileSide;
    if (whole) {
      const auto odd = rows.row(k + 2 * unit + 1);
      HWY_UNROLL(4)
      for (int64_t i = 0; i < kTileSide; i += kLanes) {
        const auto low = hn::ShiftRight<16>(hn::BitCast(d32, even.load(d, j + i)));
        hn::StoreU(hn::Or(low, hn::BitCast(d32, odd.load(d, j + i))), d32, out + i);
      }
      continue;
    }
    const auto bits = [](const auto& row, int64_t at) HWY_ATTR {
      return std::bit_cast<uint32_t>(hn::GetLane(row.load(OneFloat(), at)));
    };
    for (int64_t i = 0; i < std::min(n_cols, kTileSide); ++i) {
      out[i] = bits(even, j + i) >> 16;
      if (2 * unit + 1 < n_k) out[i] |= bits(rows.row(k + 2 * unit + 1), j + i);
    }
  }
}

// Rows to columns.
HWY_INLINE void turn_tile(uint32_t* out, const uint32_t* tile) {
  if constexpr (kLanes == kTileSide) {
    std::array<const uint8_t*, kLanes> rows;
    for (size_t i = 0; i < kLanes; ++i) {
      rows[i] = reinterpret_cast<const uint8_t*>(tile + i * kTileSide);
    }
    turn_step(out, rows, 0, 4 * kLanes);
  } else {
    for (int64_t i = 0; i < kTileSide; ++i) {
      for (int64_t j = 0; j < kTileSide; ++j) out[j * kTileSide + i] = tile[i * kTileSide + j];
    }
  }
}

// Calls body with the rows of an operand in their form.
template <class Body>
HWY_INLINE void with_bf16_rows(const WeightView& values, const Body& body) {
  switch (values.form) {
    case WeightForm::kF32:
      return body(PlainRows<float>(values));
    case WeightForm::kBF16:
      return body(PlainRows<bf16>(values));
    case WeightForm::kFp8:
      return body(ScaledRows<ByteCodes<f8e4m3>, float>(values));
    default:
      HWY_ABORT("an operand whose values are not those of BF16");
  }
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
