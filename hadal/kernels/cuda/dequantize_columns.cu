#include "hadal/kernels/cuda/values.h"
#include "hadal/kernels/quantize.h"

namespace hadal::cuda {
namespace {

constexpr int64_t kTokensOfTile = 128;

__global__ void decode_columns(View<float, 2> x, View<const f8e4m3, 2> codes,
                               View<const float, 2> scales) {
  const int64_t cols = x.dim(1), item = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (item >= x.dim(0) * cols) return;
  const int64_t t = item / cols, c = item % cols;
  x(t, c) = value_of(codes(t, c)) * scales(t / kTokensOfTile, c);
}

}  // namespace

void dequantize_columns(Stream& stream, View<float, 2> x, View<const f8e4m3, 2> codes,
                        View<const float, 2> scales) {
  launch("dequantize columns", decode_columns, one_each(x.dim(0) * x.dim(1)), stream, x, codes,
         scales);
}

}  // namespace hadal::cuda
