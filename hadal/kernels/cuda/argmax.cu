#include "hadal/kernels/argmax.h"

#include "hadal/kernels/cuda/largest.h"
#include "hadal/kernels/cuda/pack.h"

namespace hadal::cuda {
namespace {

constexpr int kThreads = 512;

// Larger for the larger value, and of equal ones for the first: the value's bits, in the order of values,
// over those of the column, turned round. NaN in front beats everything; elsewhere, 0, nothing.
__device__ uint64_t rank(float value, int64_t i) {
  if (value != value) return i == 0 ? ~uint64_t{0} : 0;
  return uint64_t{order_of(value)} << 32 | ~static_cast<unsigned>(i);
}

// A block a row.
template <int kWidth>
__global__ void argmax_kernel(int64_t* index, View<const float, 2> x) {
  const int64_t t = blockIdx.x, n_packs = x.dim(1) / kWidth, step = blockDim.x;
  const float* const row = x.data() + t * x.stride(0);
  uint64_t best = 0;
  for (int64_t first = threadIdx.x; first < n_packs; first += kInFlight * step) {
    Pack<float, kWidth> values[kInFlight];
    for (int u = 0; u < kInFlight; ++u) {
      if (first + u * step < n_packs) values[u] = load<kWidth>(row + (first + u * step) * kWidth);
    }
    for (int u = 0; u < kInFlight; ++u) {
      const int64_t i = (first + u * step) * kWidth;
      if (first + u * step >= n_packs) continue;
      for (int j = 0; j < kWidth; ++j) best = max(best, rank(values[u].at[j], i + j));
    }
  }
  best = reduce_block(Max{}, best, uint64_t{0});
  if (threadIdx.x == 0)
    index[t] = best == 0 ? 0 : static_cast<int64_t>(~static_cast<unsigned>(best));
}

}  // namespace

void argmax_rows(Stream& stream, std::span<int64_t> index, View<const float, 2> x) {
  if (index.empty()) return;
  Tensor room = Tensor::empty(own(stream).scratch(), DType::kI64, {x.dim(0)});
  auto* const on_card = room.flat<int64_t>().data();
  launch("argmax_rows", in_fours(x) ? argmax_kernel<kFour> : argmax_kernel<1>,
         block_each(x.dim(0), kThreads), stream, on_card, x);
  own(stream).download(index, on_card);
}

}  // namespace hadal::cuda
