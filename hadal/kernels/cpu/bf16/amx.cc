#include "hadal/kernels/cpu/bf16/amx.h"

#include <algorithm>
#include <atomic>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define HADAL_AMX __attribute__((target("amx-tile,amx-bf16")))
#endif

namespace hadal::cpu {
namespace {

std::atomic<bool> allowed{true};

#ifdef HADAL_AMX

// cpuid leaf 7: bit 22 of EDX is AMX-BF16, bit 24 AMX-TILE.
bool processor_has_amx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx >> 22 & 1) != 0 && (edx >> 24 & 1) != 0;
}

// Linux lends the tiles' 8 KB of registers to a process that asks, for all its threads.
bool system_permits_amx() {
  constexpr int kRequestPermission = 0x1023,
                kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

constexpr int64_t kSide = 16, kTile = 512;  // rows; BF16 values of a tile

// In static memory: g++ 12 does not see that the instruction reads all of it.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
const TileConfig kSixteenByUnits;

// All eight tiles hold 16 rows of 64 bytes while one of these lives; without it a thread's tiles are
// free, and no switch to another thread saves them.
class TilesInUse {
 public:
  HADAL_AMX TilesInUse() { _tile_loadconfig(&kSixteenByUnits); }
  HADAL_AMX ~TilesInUse() { _tile_release(); }
  TilesInUse(const TilesInUse&) = delete;
  TilesInUse& operator=(const TilesInUse&) = delete;
};

// c of one or two panels of rows by one or two of columns in tiles 0 to 3, a's in 4 and 5, b's in 6 and 7.
template <bool kTwoRows, bool kTwoCols>
HADAL_AMX void multiply_tiles(float* c, int64_t ldc, const uint16_t* a, const uint16_t* b,
                              int64_t n_groups, bool accumulate) {
  const int64_t row = 4 * ldc, next = kTile * n_groups;
  if (accumulate) {
    _tile_loadd(0, c, row);
    if constexpr (kTwoCols) _tile_loadd(1, c + kSide, row);
    if constexpr (kTwoRows) _tile_loadd(2, c + kSide * ldc, row);
    if constexpr (kTwoRows && kTwoCols) _tile_loadd(3, c + kSide * ldc + kSide, row);
  } else {
    _tile_zero(0);
    if constexpr (kTwoCols) _tile_zero(1);
    if constexpr (kTwoRows) _tile_zero(2);
    if constexpr (kTwoRows && kTwoCols) _tile_zero(3);
  }
  for (int64_t g = 0; g < n_groups; ++g, a += kTile, b += kTile) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTwoCols) {
      _tile_loadd(7, b + next, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTwoRows) {
      _tile_loadd(5, a + next, 64);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kTwoCols) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, row);
  if constexpr (kTwoCols) _tile_stored(1, c + kSide, row);
  if constexpr (kTwoRows) _tile_stored(2, c + kSide * ldc, row);
  if constexpr (kTwoRows && kTwoCols) _tile_stored(3, c + kSide * ldc + kSide, row);
}

#endif  // HADAL_AMX

}  // namespace

void allow_amx(bool is_allowed) { allowed = is_allowed; }

#ifdef HADAL_AMX

bool amx_usable() {
  static const bool usable = processor_has_amx() && system_permits_amx();
  return usable && allowed.load(std::memory_order_relaxed);
}

void amx_multiply(float* c, int64_t ldc, const AmxBlocks& blocks, bool accumulate) {
  const auto& [a, b, m, n, n_groups] = blocks;
  constexpr int64_t kTwo = 2 * kSide;
  const TilesInUse tiles;
  for (int64_t j = 0; j < n; j += kTwo) {
    const int64_t cols = std::min(kTwo, n - j);
    for (int64_t i = 0; i < m; i += kTwo) {
      const int64_t rows = std::min(kTwo, m - i);
      const auto multiply =
          rows > kSide   ? cols > kSide ? multiply_tiles<true, true> : multiply_tiles<true, false>
            : cols > kSide ? multiply_tiles<false, true>
                         : multiply_tiles<false, false>;
      const uint16_t* a_tiles = a + i / kSide * n_groups * kTile;
      const uint16_t* b_tiles = b + j / kSide * n_groups * kTile;
      float* to = c + i * ldc + j;
      if (rows % kSide == 0 && cols % kSide == 0) {
        multiply(to, ldc, a_tiles, b_tiles, n_groups, accumulate);
        continue;
      }
      alignas(64) float whole[kTwo * kTwo];  // at an edge of c
      for (int64_t r = 0; r < rows && accumulate; ++r) {
        std::copy_n(to + r * ldc, cols, whole + r * kTwo);
      }
      multiply(whole, kTwo, a_tiles, b_tiles, n_groups, accumulate);
      for (int64_t r = 0; r < rows; ++r) std::copy_n(whole + r * kTwo, cols, to + r * ldc);
    }
  }
}

#else

bool amx_usable() { return false; }
void amx_multiply(float*, int64_t, const AmxBlocks&, bool) {}

#endif

}  // namespace hadal::cpu
