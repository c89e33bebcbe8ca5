#include "hadal/kernels/cuda/fp8_tile.h"

namespace hadal::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

// A block holds 128 x 128 values in registers: a thread has 16 bytes of each of kRows rows that follow each
// other, in column group `lane` of kLanes.
template <class T>
struct Share {
  static constexpr int kN = kPer<T>, kLanes = kScaleTile / kN, kGroups = kThreads / kLanes;
  static constexpr int kRows = kScaleTile / kGroups;
  uint4 held[kRows];
  float scale[sizeof(T) == 1 ? kRows : 1];  // of the rows, where the values are codes

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  __device__ static int group() { return static_cast<int>(threadIdx.x) / kLanes; }
  // Values j and j + 1 of row i.
  __device__ float2 pair(int i, int j) const {
    float2 values = pair_of<T>(held[i], j);
    if constexpr (sizeof(T) == 1) values = make_float2(values.x * scale[i], values.y * scale[i]);
    return values;
  }
};

// The codes of the turned tile on their way from rows to columns: 128 columns of 128 bytes. A thread writes
// kRows codes of a column as one piece. Pieces of a column stand in an order of their own, so that neither
// writing (a warp has different column groups, with the same place in a column) nor reading (8 threads
// read a column, 16 bytes each) meets a bank twice.
template <class T>
struct TurnedTile {
  using S = Share<T>;
  static constexpr int kPiecesOf16 = 16 / S::kRows;

  __device__ static int order(int lane) {
    // F32: 8 pieces of 16 bytes, BF16: 16 of 8, codes: 32 of 4, of which a warp writes 4 at once.
    return sizeof(T) == 4 ? lane % 8 : sizeof(T) == 2 ? lane : 4 * lane;
  }
  __device__ static void write(uint8_t* tile, int j, const unsigned* words) {
    const int column = S::kN * S::lane() + j;
    uint8_t* const to = tile + column * kScaleTile + (S::group() ^ order(S::lane())) * S::kRows;
    if constexpr (S::kRows == 16) {
      *reinterpret_cast<uint4*>(to) = uint4{words[0], words[1], words[2], words[3]};
    } else if constexpr (S::kRows == 8) {
      *reinterpret_cast<uint2*>(to) = uint2{words[0], words[1]};
    } else {
      *reinterpret_cast<unsigned*>(to) = words[0];
    }
  }
  // Codes 16 unit to 16 unit + 15 of a column.
  __device__ static uint4 read(const uint8_t* tile, int column, int unit) {
    const int pieces = order(column / S::kN), at = unit ^ (pieces / kPiecesOf16);
    const uint4 p = *reinterpret_cast<const uint4*>(tile + column * kScaleTile + 16 * at);
    return kPiecesOf16 == 2 && pieces % 2 == 1 ? uint4{p.z, p.w, p.x, p.y} : p;
  }
};

template <class T>
__device__ Share<T> load(const T* x, int64_t stride, int64_t rows, int64_t cols, bool aligned) {
  using S = Share<T>;
  Share<T> share{};
  const int64_t row0 = int64_t{blockIdx.y} * kScaleTile + S::group() * S::kRows;
  const int64_t col = int64_t{blockIdx.x} * kScaleTile + S::lane() * S::kN;
  if (aligned && row0 + S::kRows <= rows && col < cols) {
#pragma unroll
    for (int i = 0; i < S::kRows; ++i) {
      share.held[i] = *reinterpret_cast<const uint4*>(x + (row0 + i) * stride + col);
    }
  } else {
#pragma unroll
    for (int i = 0; i < S::kRows; ++i) {
      if (row0 + i < rows) share.held[i] = load16(x + (row0 + i) * stride, col, cols, aligned);
    }
  }
  return share;
}

// The largest magnitude of each of this thread's columns, over the whole tile's rows if the warp's are
// exchanged; `of_columns` gets one row for each warp, columns in the order j * kLanes + lane.
template <class T>
__device__ void store_column_amax(float (*of_columns)[kScaleTile], const Share<T>& share) {
  using S = Share<T>;
  float amax[S::kN] = {};
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
#pragma unroll
    for (int j = 0; j < S::kN; j += 2) {
      const float2 pair = share.pair(i, j);
      amax[j] = fmaxf(amax[j], fabsf(pair.x));
      amax[j + 1] = fmaxf(amax[j + 1], fabsf(pair.y));
    }
  }
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int j = 0; j < S::kN; ++j) {
#pragma unroll
    for (int distance = S::kLanes; distance < kWarp; distance *= 2) {
      amax[j] = fmaxf(amax[j], __shfl_xor_sync(0xFFFFFFFFU, amax[j], distance));
    }
    if (S::group() % (kWarp / S::kLanes) == 0)
      of_columns[warp][j * S::kLanes + S::lane()] = amax[j];
  }
}

// Codes of this thread's columns into the turned tile; quotient(j) divides column j.
template <class T, class QuotientOf>
__device__ void turn(uint8_t* tile, const Share<T>& share, const QuotientOf& quotient) {
  using S = Share<T>;
#pragma unroll
  for (int j = 0; j < S::kN; j += 2) {
    const auto first = quotient(j), second = quotient(j + 1);
    unsigned words[2][S::kRows / 4] = {};
#pragma unroll
    for (int i = 0; i < S::kRows; i += 2) {
      const float2 a = share.pair(i, j), b = share.pair(i + 1, j);
      words[0][i / 4] |= codes_of(first(a.x), first(b.x)) << (i % 4 * 8);
      words[1][i / 4] |= codes_of(second(a.y), second(b.y)) << (i % 4 * 8);
    }
    TurnedTile<T>::write(tile, j, words[0]);
    TurnedTile<T>::write(tile, j + 1, words[1]);
  }
}

// The turned tile to codes [K, stride]. All threads have written theirs.
template <class T>
__device__ void store_turned(f8e4m3* codes, int64_t stride, const uint8_t* tile, int64_t rows,
                             int64_t cols) {
  constexpr int kUnitsOfColumn = kScaleTile / 16;
#pragma unroll
  for (int step = 0; step < kScaleTile * kUnitsOfColumn / kThreads; ++step) {
    const int at = step * kThreads + static_cast<int>(threadIdx.x);
    const int column = at / kUnitsOfColumn, unit = at % kUnitsOfColumn;
    const int64_t col = int64_t{blockIdx.x} * kScaleTile + column;
    const int64_t row = int64_t{blockIdx.y} * kScaleTile + 16 * unit;
    if (col < cols && row < rows) {
      *reinterpret_cast<uint4*>(codes + col * stride + row) =
          TurnedTile<T>::read(tile, column, unit);
    }
  }
}

// Column tiles turned, and with kRowTiles row tiles too.
template <class T, bool kPowerOfTwo, bool kRowTiles>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 4 ? 2 : 3)
    column_tiles_kernel(TileCodes columns, TileCodes row_tiles, const T* x, TileCodes source,
                        int64_t stride, int64_t rows, int64_t cols, bool amax_floor, bool aligned,
                        bool rows_aligned) {
  using S = Share<T>;
  __shared__ uint4 room[kScaleTile * kScaleTile / 16];
  auto* const tile = reinterpret_cast<uint8_t*>(room);
  __shared__ float of_columns[kWarps][kScaleTile];
  __shared__ Quotients<kPowerOfTwo> quotients[kScaleTile];
  Share<T> share = load(x, stride, rows, cols, aligned);
  const int64_t row0 = int64_t{blockIdx.y} * kScaleTile + S::group() * S::kRows;
  if constexpr (sizeof(T) == 1) {
#pragma unroll
    for (int i = 0; i < S::kRows; ++i) {
      if (row0 + i < rows) {
        share.scale[i] = source.scales[(row0 + i) * source.scale_row_stride +
                                       int64_t{blockIdx.x} * source.scale_col_stride];
      }
    }
  }
  store_column_amax(of_columns, share);
  if constexpr (kRowTiles) {
    const int64_t col = int64_t{blockIdx.x} * kScaleTile + S::lane() * S::kN;
#pragma unroll
    for (int i = 0; i < S::kRows; ++i) {
      float v[S::kN];
#pragma unroll
      for (int j = 0; j < S::kN; j += 2) {
        const float2 pair = share.pair(i, j);
        v[j] = pair.x, v[j + 1] = pair.y;
      }
      store_row_tile<kPowerOfTwo>(row_tiles, v, row0 + i, col, cols, row0 + i < rows && col < cols,
                                  amax_floor, rows_aligned);
    }
  }
  __syncthreads();
  if (threadIdx.x < kScaleTile) {
    const int at = static_cast<int>(threadIdx.x);
    float amax = 0.0F;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) amax = fmaxf(amax, of_columns[warp][at]);
    const float scale = fp8_scale(amax, kPowerOfTwo, amax_floor);
    quotients[at] = Quotients<kPowerOfTwo>(scale);
    const int64_t col = int64_t{blockIdx.x} * kScaleTile + at % S::kLanes * S::kN + at / S::kLanes;
    if (col < cols) {
      columns
          .scales[int64_t{blockIdx.y} * columns.scale_row_stride + col * columns.scale_col_stride] =
          scale;
    }
  }
  __syncthreads();
  turn(tile, share, [&](int j) { return quotients[j * S::kLanes + S::lane()]; });
  __syncthreads();
  store_turned<T>(columns.codes, columns.stride, tile, rows, cols);
}

template <class T, bool kPowerOfTwo>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 4 ? 2 : 3)
    blocks_kernel(TileCodes out, f8e4m3* turned, int64_t turned_stride, const T* x, int64_t stride,
                  int64_t rows, int64_t cols, bool aligned, bool out_aligned) {
  using S = Share<T>;
  __shared__ uint4 room[kScaleTile * kScaleTile / 16];
  auto* const tile = reinterpret_cast<uint8_t*>(room);
  const Share<T> share = load(x, stride, rows, cols, aligned);
  float amax = 0.0F;
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
#pragma unroll
    for (int j = 0; j < S::kN; j += 2) {
      const float2 pair = share.pair(i, j);
      amax = fmaxf(amax, fmaxf(fabsf(pair.x), fabsf(pair.y)));
    }
  }
  amax = reduce_block(Max{}, amax, 0.0F);
  const float scale = fp8_scale(amax, kPowerOfTwo, /*amax_floor=*/false);
  const Quotients<kPowerOfTwo> quotient(scale);
  if (threadIdx.x == 0) {
    out.scales[int64_t{blockIdx.y} * out.scale_row_stride +
               int64_t{blockIdx.x} * out.scale_col_stride] = scale;
  }
  const int64_t row0 = int64_t{blockIdx.y} * kScaleTile + S::group() * S::kRows;
  const int64_t col = int64_t{blockIdx.x} * kScaleTile + S::lane() * S::kN;
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    unsigned words[S::kN / 4] = {};
#pragma unroll
    for (int j = 0; j < S::kN; j += 2) {
      const float2 pair = share.pair(i, j);
      words[j / 4] |= codes_of(quotient(pair.x), quotient(pair.y)) << (j % 4 * 8);
    }
    if (row0 + i < rows) {
      store_codes<S::kN>(out.codes + (row0 + i) * out.stride, col, cols, words, out_aligned);
    }
  }
  if (turned == nullptr) return;
  turn(tile, share, [&](int) { return quotient; });
  __syncthreads();
  store_turned<T>(turned, turned_stride, tile, rows, cols);
}

Grid tiles_of(int64_t rows, int64_t cols) {
  return {dim3(static_cast<unsigned>(ceil_div(cols, int64_t{kScaleTile})),
               static_cast<unsigned>(ceil_div(rows, int64_t{kScaleTile}))),
          kThreads};
}

template <class T>
bool can_read(View<const T, 2> x) {
  return in_steps_of(kPer<T>, x.data(), x.stride(0), x.dim(1));
}

template <class T, bool kRowTiles>
void run_columns(const char* what, Stream& stream, const TileCodes& columns, const TileCodes& rows,
                 View<const T, 2> x, ScaleRule rule) {
  const auto kernel = rule.power_of_two ? column_tiles_kernel<T, true, kRowTiles>
                                        : column_tiles_kernel<T, false, kRowTiles>;
  launch(what, kernel, tiles_of(x.dim(0), x.dim(1)), stream, columns, rows, x.data(), TileCodes{},
         x.stride(0), x.dim(0), x.dim(1), rule.amax_floor, can_read(x),
         in_steps_of(kPer<T>, rows.codes, rows.stride, x.dim(1)));
}

}  // namespace

template <class T>
void quantize_column_tiles(Stream& stream, const TileCodes& out, View<const T, 2> x,
                           ScaleRule rule) {
  run_columns<T, false>("quantize column tiles", stream, out, {}, x, rule);
}

template <class T>
void quantize_row_and_column_tiles(Stream& stream, const TileCodes& rows, const TileCodes& columns,
                                   View<const T, 2> x, ScaleRule rule) {
  run_columns<T, true>("quantize row and column tiles", stream, columns, rows, x, rule);
}

template <class T>
void quantize_blocks(Stream& stream, const TileCodes& out, f8e4m3* turned, int64_t turned_stride,
                     View<const T, 2> w, bool power_of_two) {
  const auto kernel = power_of_two ? blocks_kernel<T, true> : blocks_kernel<T, false>;
  launch("quantize blocks", kernel, tiles_of(w.dim(0), w.dim(1)), stream, out, turned,
         turned_stride, w.data(), w.stride(0), w.dim(0), w.dim(1), can_read(w),
         in_steps_of(kPer<T>, out.codes, out.stride, w.dim(1)));
}

void retile_rows_to_columns(Stream& stream, const TileCodes& out, const TileCodes& rows, int64_t T,
                            int64_t K, ScaleRule rule) {
  const auto kernel = rule.power_of_two ? column_tiles_kernel<f8e4m3, true, false>
                                        : column_tiles_kernel<f8e4m3, false, false>;
  launch("retile", kernel, tiles_of(T, K), stream, out, TileCodes{}, rows.codes, rows, rows.stride,
         T, K, rule.amax_floor, in_steps_of(kPer<f8e4m3>, rows.codes, rows.stride, K), false);
}

#define HADAL_INSTANTIATE(T)                                                                      \
  template void quantize_column_tiles<T>(Stream&, const TileCodes&, View<const T, 2>, ScaleRule); \
  template void quantize_row_and_column_tiles<T>(Stream&, const TileCodes&, const TileCodes&,     \
                                                 View<const T, 2>, ScaleRule);                    \
  template void quantize_blocks<T>(Stream&, const TileCodes&, f8e4m3*, int64_t, View<const T, 2>, \
                                   bool);
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(bf16)
#undef HADAL_INSTANTIATE

}  // namespace hadal::cuda
