#include "hadal/kernels/rmsnorm.h"

#include "hadal/kernels/cuda/each.h"
#include "hadal/kernels/cuda/row_threads.h"

namespace hadal::cuda {
namespace {

template <int kWidth, bool kByWarp>
__global__ void __launch_bounds__(kByWarp ? kWarpRowThreads : kMaxThreads)
    forward_kernel(View<float, 2> y, View<float, 1> r, View<const float, 2> x,
                   View<const float, 1> w, float eps) {
  using Threads = RowThreads<kByWarp>;
  const int64_t t = Threads::row(), D = x.dim(1);
  if (t >= x.dim(0)) return;
  const RowShare<kWidth, Threads> row(x.data() + t * x.stride(0), D / kWidth);
  float sum_sq = 0;
  row.each([&](int64_t, const Pack<float, kWidth>& value) {
    for (int j = 0; j < kWidth; ++j) sum_sq += value.at[j] * value.at[j];
  });
  const float mean = Threads::sum(sum_sq) / static_cast<float>(D);
  const float inverse = 1.0F / sqrtf(mean + eps);
  if (Threads::index() == 0) r(t) = inverse;
  row.each([&](int64_t i, Pack<float, kWidth> value) {
    const auto weight = load<kWidth>(&w(i));
    for (int j = 0; j < kWidth; ++j) value.at[j] = weight.at[j] * (value.at[j] * inverse);
    store(&y(t, i), value);
  });
}

template <int kWidth, bool kByWarp>
__global__ void __launch_bounds__(kByWarp ? kWarpRowThreads : kMaxThreads)
    backward_input_kernel(View<float, 2> dx, View<const float, 2> dy, View<const float, 2> x,
                          View<const float, 1> w, View<const float, 1> r, float beta) {
  using Threads = RowThreads<kByWarp>;
  const int64_t t = Threads::row(), D = x.dim(1);
  if (t >= x.dim(0)) return;
  // What beyond kHeld is read again is so before its own thread writes dx there, which may be dy.
  const RowShare<kWidth, Threads> row(x.data() + t * x.stride(0), D / kWidth),
      gradient(dy.data() + t * dy.stride(0), D / kWidth);
  float g_dot_x = 0;
  row.each_beside(gradient,
                  [&](int64_t i, const Pack<float, kWidth>& value, const Pack<float, kWidth>& d) {
                    const auto weight = load<kWidth>(&w(i));
                    for (int j = 0; j < kWidth; ++j)
                      g_dot_x += weight.at[j] * d.at[j] * value.at[j];
                  });
  const float scale = r(t), mean = Threads::sum(g_dot_x) * scale / static_cast<float>(D);
  row.each_beside(gradient,
                  [&](int64_t i, const Pack<float, kWidth>& value, const Pack<float, kWidth>& d) {
                    const auto weight = load<kWidth>(&w(i));
                    Pack<float, kWidth> out;
                    for (int j = 0; j < kWidth; ++j) {
                      out.at[j] = scale * (weight.at[j] * d.at[j] - value.at[j] * scale * mean);
                    }
                    if (beta != 0.0F) {
                      const auto old = load<kWidth>(&dx(t, i));
                      for (int j = 0; j < kWidth; ++j) out.at[j] += beta * old.at[j];
                    }
                    store(&dx(t, i), out);
                  });
}

// dw in two steps, so that every sum has its order: slabs of rows, then the slabs.
constexpr int kSlabRows = 32, kMostSlabs = 64;  // at least so many rows; at most so many slabs
constexpr int kLines = 8;                       // rows of a slab that a block reads at once

// sums[slab, i] over the slab's rows. A warp reads a row, a block kLines of them side by side.
template <int kWidth>
__global__ void slab_sums(View<float, 2> sums, View<const float, 2> dy, View<const float, 2> x,
                          View<const float, 1> r, int64_t slab_rows) {
  __shared__ float of_lines[kLines][kWarp * kWidth];
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            line = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t i = (int64_t{blockIdx.x} * kWarp + lane) * kWidth;
  const int64_t first = int64_t{blockIdx.y} * slab_rows, last = min(first + slab_rows, x.dim(0));
  Pack<float, kWidth> sum{};
  if (i < x.dim(1)) {
    for (int64_t t = first + line; t < last; t += kLines) {
      const auto d = load<kWidth>(&dy(t, i)), value = load<kWidth>(&x(t, i));
      const float scale = r(t);
      for (int j = 0; j < kWidth; ++j) sum.at[j] += d.at[j] * (value.at[j] * scale);
    }
  }
  for (int j = 0; j < kWidth; ++j) of_lines[line][lane * kWidth + j] = sum.at[j];
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < kWarp * kWidth;
       c += static_cast<int>(blockDim.x)) {
    const int64_t column = int64_t{blockIdx.x} * kWarp * kWidth + c;
    if (column >= x.dim(1)) continue;
    float total = 0;
    for (int l = 0; l < kLines; ++l) total += of_lines[l][c];
    sums(blockIdx.y, column) = total;
  }
}

__global__ void add_slabs(View<float, 1> dw, View<const float, 2> sums) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= dw.dim(0)) return;
  float total = 0;
  for (int64_t slab = 0; slab < sums.dim(0); ++slab) total += sums(slab, i);
  dw(i) += total;
}

struct Input {
  View<float, 2> x;
  View<const float, 2> y;
  View<const float, 1> w, r;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t row, int64_t column) const {
    auto value = load<kWidth>(&y(row, column));
    const auto weight = load<kWidth>(&w(column));
    for (int j = 0; j < kWidth; ++j) {
      const float factor = weight.at[j] * r(row);
      value.at[j] = factor == 0.0F ? 0.0F : value.at[j] / factor;
    }
    return value;
  }
  template <int kWidth>
  __device__ void store(int64_t row, int64_t column, const Pack<float, kWidth>& value) const {
    cuda::store(&x(row, column), value);
  }
};

}  // namespace

void rmsnorm_forward(Stream& stream, View<float, 2> y, View<float, 1> r, View<const float, 2> x,
                     View<const float, 1> w, float eps) {
  const bool fours = in_fours(y) && in_fours(x) && in_fours(w.data());
  for_row_threads(x.dim(0), x.dim(1), fours, [&]<int kWidth, bool kByWarp>(const Grid& grid) {
    launch("rmsnorm_forward", forward_kernel<kWidth, kByWarp>, grid, stream, y, r, x, w, eps);
  });
}

void rmsnorm_backward_input(Stream& stream, View<float, 2> dx, View<const float, 2> dy,
                            View<const float, 2> x, View<const float, 1> w, View<const float, 1> r,
                            float beta) {
  const bool fours = in_fours(dx) && in_fours(dy) && in_fours(x) && in_fours(w.data());
  for_row_threads(x.dim(0), x.dim(1), fours, [&]<int kWidth, bool kByWarp>(const Grid& grid) {
    launch("rmsnorm_backward_input", backward_input_kernel<kWidth, kByWarp>, grid, stream, dx, dy,
           x, w, r, beta);
  });
}

void rmsnorm_backward_weight(Stream& stream, View<float, 1> dw, View<const float, 2> dy,
                             View<const float, 2> x, View<const float, 1> r) {
  const auto [T, D] = x.shape();
  if (T == 0 || D == 0) return;
  const int64_t slab_rows = std::max<int64_t>(kSlabRows, ceil_div(T, kMostSlabs));
  const int64_t n_slabs = ceil_div(T, slab_rows);
  Tensor room = Tensor::empty(own(stream).scratch(), DType::kF32, {n_slabs, D});
  const bool fours = in_fours(dy) && in_fours(x);
  const int64_t columns = kWarp * (fours ? kFour : 1);  // of a block
  const Grid grid{dim3(static_cast<unsigned>(ceil_div(D, columns)), static_cast<unsigned>(n_slabs)),
                  kWarp * kLines};
  launch("rmsnorm_backward_weight", fours ? slab_sums<kFour> : slab_sums<1>, grid, stream,
         room.mat(), dy, x, r, slab_rows);
  launch("rmsnorm_backward_weight", add_slabs, one_each(D), stream, dw, room.mat());
}

void rmsnorm_input(Stream& stream, View<float, 2> x, View<const float, 2> y, View<const float, 1> w,
                   View<const float, 1> r) {
  const bool fours = in_fours(x) && in_fours(y) && in_fours(w.data());
  each_of_rows("rmsnorm_input", stream, y.dim(0), y.dim(1), fours, Input{x, y, w, r});
}

}  // namespace hadal::cuda
