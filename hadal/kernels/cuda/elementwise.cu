#include "hadal/kernels/elementwise.h"

#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {
namespace {

// Enough blocks to fill a card; each thread walks with the whole grid's stride.
Grid strided(int64_t n) {
  constexpr int64_t kThreads = 256, kBlocks = 2048;
  return {dim3(static_cast<unsigned>(std::min(ceil_div(n, kThreads), kBlocks))), kThreads};
}
__device__ int64_t first_of_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ int64_t grid_stride() { return int64_t{gridDim.x} * blockDim.x; }

__global__ void add_kernel(float* y, const float* x, int64_t n) {
  for (int64_t i = first_of_thread(); i < n; i += grid_stride()) y[i] += x[i];
}
__global__ void scale_kernel(float* y, float factor, int64_t n) {
  for (int64_t i = first_of_thread(); i < n; i += grid_stride()) y[i] *= factor;
}
__global__ void fill_kernel(float* y, float value, int64_t n) {
  for (int64_t i = first_of_thread(); i < n; i += grid_stride()) y[i] = value;
}
__global__ void ema_kernel(float* average, const float* value, float decay, int64_t n) {
  for (int64_t i = first_of_thread(); i < n; i += grid_stride()) {
    average[i] += (1.0F - decay) * (value[i] - average[i]);
  }
}

struct Square {
  __device__ double operator()(float x) const { return double{x} * double{x}; }
};
struct IsNotFinite {
  __device__ int64_t operator()(float x) const {
    return (__float_as_uint(x) & 0x7F800000U) == 0x7F800000U ? 1 : 0;
  }
};

// One sum a block.
template <class Term, class T>
__global__ void partial_sums(T* sums, const float* x, int64_t n, Term term) {
  T sum = 0;
  for (int64_t i = first_of_thread(); i < n; i += grid_stride()) sum += term(x[i]);
  sum = sum_block(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One value a warp: bits without the sign compare as magnitudes do, and NaN is above all of them.
__global__ void partial_magnitudes(unsigned* largest, const float* x, int64_t n) {
  unsigned mine = 0;
  for (int64_t i = first_of_thread(); i < n; i += grid_stride()) {
    mine = max(mine, __float_as_uint(x[i]) & 0x7FFFFFFFU);
  }
  for (int other = kWarp / 2; other > 0; other /= 2) {
    mine = max(mine, __shfl_xor_sync(0xFFFFFFFFU, mine, other));
  }
  if (threadIdx.x % kWarp == 0) largest[first_of_thread() / kWarp] = mine;
}

template <class T, class Term>
T sum_of(Stream& stream, std::span<const float> x, Term term) {
  const auto n = static_cast<int64_t>(x.size());
  const Grid grid = strided(n);
  std::vector<T> sums(grid.blocks.x);
  if (n == 0) return 0;
  Tensor room = Tensor::empty(own(stream).scratch(), DType::kU8,
                              {static_cast<int64_t>(sums.size() * sizeof(T))});
  T* const on_card = static_cast<T*>(room.raw());
  launch("sum", partial_sums<Term, T>, grid, stream, on_card, x.data(), n, term);
  own(stream).download(std::span<T>(sums), on_card);
  T total = 0;
  for (const T sum : sums) total += sum;
  return total;
}

}  // namespace

void add(Stream& stream, std::span<float> y, std::span<const float> x) {
  const auto n = static_cast<int64_t>(y.size());
  launch("add", add_kernel, strided(n), stream, y.data(), x.data(), n);
}

void scale(Stream& stream, std::span<float> y, float factor) {
  const auto n = static_cast<int64_t>(y.size());
  launch("scale", scale_kernel, strided(n), stream, y.data(), factor, n);
}

void fill(Stream& stream, std::span<float> y, float value) {
  const auto n = static_cast<int64_t>(y.size());
  launch("fill", fill_kernel, strided(n), stream, y.data(), value, n);
}

void ema_update(Stream& stream, std::span<float> average, std::span<const float> value,
                float decay) {
  const auto n = static_cast<int64_t>(average.size());
  launch("ema_update", ema_kernel, strided(n), stream, average.data(), value.data(), decay, n);
}

double sum_of_squares(Stream& stream, std::span<const float> x) {
  return sum_of<double>(stream, x, Square{});
}

float largest_magnitude(Stream& stream, std::span<const float> x) {
  const auto n = static_cast<int64_t>(x.size());
  if (n == 0) return 0.0F;
  const Grid grid = strided(n);
  std::vector<unsigned> largest(grid.blocks.x * (256 / kWarp));
  Tensor room = Tensor::empty(own(stream).scratch(), DType::kU8,
                              {static_cast<int64_t>(largest.size() * sizeof(unsigned))});
  auto* const on_card = static_cast<unsigned*>(room.raw());
  launch("largest_magnitude", partial_magnitudes, grid, stream, on_card, x.data(), n);
  own(stream).download(std::span<unsigned>(largest), on_card);
  return std::bit_cast<float>(*std::max_element(largest.begin(), largest.end()));
}

int64_t count_not_finite(Stream& stream, std::span<const float> x) {
  return sum_of<int64_t>(stream, x, IsNotFinite{});
}

}  // namespace hadal::cuda
