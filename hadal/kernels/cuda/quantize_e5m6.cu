#include "hadal/kernels/quantize_e5m6.h"

#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kE5M6Columns = 128;              // of a tile
constexpr int kOfLane = kE5M6Columns / kWarp;  // two pairs of codes

__device__ float power_of_two_scale(float amax) {
  const float scale = amax / kE5M6Max;
  if (scale == 0.0F || (__float_as_uint(scale) & 0x7F800000U) == 0x7F800000U) return 1.0F;
  int exponent = 0;
  const float fraction = frexpf(scale, &exponent);
  return ldexpf(1.0F, fraction == 0.5F ? exponent - 1 : exponent);
}

// As kernels/quantize_e5m6.h has it.
__device__ unsigned code_of(float value) {
  const unsigned sign = __float_as_uint(value) >> 31 << 11;
  const float magnitude = fminf(fabsf(value), kE5M6Max);
  if (magnitude < 0x1p-14F) {
    return sign | (__float_as_uint(magnitude + 8.0F) - __float_as_uint(8.0F));
  }
  const unsigned bits = __float_as_uint(magnitude);
  return sign | (((bits + 0xFFFFU + (bits >> 17 & 1U)) >> 17) - (112U << 6));
}

__device__ float value_of_code(unsigned code) {
  return __uint_as_float((code & 0x800U) << 20 | (code & 0x7FFU) << 17) * 0x1p112F;
}

// A warp for every tile.
__global__ void encode_tiles(View<uint8_t, 2> codes, View<float, 2> scales, View<const float, 2> x,
                             int64_t n_tiles, int64_t tiles_of_row) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t tile = int64_t{blockIdx.x} * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (tile >= n_tiles) return;  // all lanes of a warp alike
  const int64_t row = tile / tiles_of_row, cols = x.dim(1);
  const int64_t first = tile % tiles_of_row * kE5M6Columns + lane * kOfLane;
  float v[kOfLane];
  float amax = 0.0F;
  for (int j = 0; j < kOfLane; ++j) {
    v[j] = first + j < cols ? x(row, first + j) : 0.0F;
    amax = fmaxf(amax, fabsf(v[j]));
  }
  const float scale = power_of_two_scale(reduce_warp(Max{}, amax));
  if (lane == 0) scales(row, tile % tiles_of_row) = scale;
  for (int j = 0; j < kOfLane && first + j < cols; j += 2) {
    const unsigned both = code_of(v[j] / scale) | code_of(v[j + 1] / scale) << 12;
    const int64_t at = (first + j) / 2 * 3;
    for (int b = 0; b < 3; ++b) codes(row, at + b) = static_cast<uint8_t>(both >> (8 * b));
  }
}

__global__ void decode_values(View<float, 2> x, View<const uint8_t, 2> codes,
                              View<const float, 2> scales) {
  const int64_t cols = x.dim(1), item = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (item >= x.dim(0) * cols) return;
  const int64_t row = item / cols, col = item % cols, at = col / 2 * 3;
  const unsigned both = unsigned{codes(row, at)} | unsigned{codes(row, at + 1)} << 8 |
                        unsigned{codes(row, at + 2)} << 16;
  x(row, col) =
      value_of_code(col % 2 == 0 ? both & 0xFFFU : both >> 12) * scales(row, col / kE5M6Columns);
}

}  // namespace

void quantize_e5m6(Stream& stream, View<uint8_t, 2> codes, View<float, 2> scales,
                   View<const float, 2> x) {
  const int64_t tiles_of_row = scales.dim(1), n_tiles = x.dim(0) * tiles_of_row;
  launch("quantize E5M6", encode_tiles, one_each(n_tiles * kWarp, kThreads), stream, codes, scales,
         x, n_tiles, tiles_of_row);
}

void dequantize_e5m6(Stream& stream, View<float, 2> x, View<const uint8_t, 2> codes,
                     View<const float, 2> scales) {
  launch("dequantize E5M6", decode_values, one_each(x.dim(0) * x.dim(1), kThreads), stream, x,
         codes, scales);
}

}  // namespace hadal::cuda
