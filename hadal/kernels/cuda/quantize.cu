#include "hadal/kernels/quantize.h"

#include "hadal/kernels/cuda/each.h"
#include "hadal/kernels/cuda/fp8_tile.h"
#include "hadal/kernels/cuda/stored_weight.h"

namespace hadal::cuda {
namespace {

constexpr int64_t kThreads = 128;

// A tile of any extents: a block each. For columns of codes that stay where their values were, which no
// product of a card reads.
__global__ void any_tile_kernel(View<f8e4m3, 2> codes, View<float, 2> scales,
                                View<const float, 2> x, int64_t tile_rows, int64_t tile_cols,
                                ScaleRule rule) {
  const int64_t row0 = blockIdx.y * tile_rows, col0 = blockIdx.x * tile_cols;
  const int64_t rows = min(tile_rows, x.dim(0) - row0), cols = min(tile_cols, x.dim(1) - col0);
  float amax = 0.0F;
  for (int64_t i = threadIdx.x; i < rows * cols; i += blockDim.x) {
    amax = fmaxf(amax, fabsf(x(row0 + i / cols, col0 + i % cols)));
  }
  amax = reduce_block(Max{}, amax, 0.0F);
  const float scale = fp8_scale(amax, rule.power_of_two, rule.amax_floor);
  if (threadIdx.x == 0) scales(blockIdx.y, blockIdx.x) = scale;
  for (int64_t i = threadIdx.x; i < rows * cols; i += blockDim.x) {
    const int64_t row = row0 + i / cols, col = col0 + i % cols;
    codes(row, col) = rounded_to<f8e4m3>(x(row, col) / scale);
  }
}

template <WeightForm kForm>
struct Dequantize {
  View<float, 2> x;
  WeightView codes;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t n, int64_t k) const {
    return values_at<kForm, kWidth>(codes, n, k);
  }
  template <int kWidth>
  __device__ void store(int64_t n, int64_t k, const Pack<float, kWidth>& values) const {
    cuda::store(&x(n, k), values);
  }
};

}  // namespace

void quantize(Stream& stream, View<f8e4m3, 2> codes, View<float, 2> scales, View<const float, 2> x,
              int64_t tile_rows, int64_t tile_cols, bool power_of_two, bool amax_floor) {
  const TileCodes out{codes.data(), codes.stride(0), scales.data(), scales.stride(0), 1};
  const ScaleRule rule{power_of_two, amax_floor};
  if (tile_rows == 1 && tile_cols == kScaleTile) return quantize_row_tiles(stream, out, x, rule);
  if (tile_rows == kScaleTile && tile_cols == kScaleTile && !amax_floor) {
    return quantize_blocks(stream, out, nullptr, 0, x, power_of_two);
  }
  const Grid grid{dim3(static_cast<unsigned>(ceil_div(x.dim(1), tile_cols)),
                       static_cast<unsigned>(ceil_div(x.dim(0), tile_rows))),
                  kThreads};
  launch("quantize", any_tile_kernel, grid, stream, codes, scales, x, tile_rows, tile_cols, rule);
}

void dequantize(Stream& stream, View<float, 2> x, const WeightView& codes) {
  const bool fours = in_fours(x) && in_fours(codes);
  for_form(codes.form, [&]<WeightForm kForm>() {
    each_of_rows("dequantize", stream, x.dim(0), x.dim(1), fours, Dequantize<kForm>{x, codes});
  });
}

}  // namespace hadal::cuda
