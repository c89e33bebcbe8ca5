#include "hadal/kernels/cross_entropy.h"

#include <cfloat>

#include "hadal/kernels/cuda/pack.h"
#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {
namespace {

constexpr int kMostThreads = 1024;
constexpr int64_t kHeldBytes = int64_t{200}
                               << 10;  // of a row, in shared memory between its two passes

// sum_v exp(x[v] - largest), in f64, for a row of logits.
struct Exponentials {
  float largest;
  double sum;
};

// In one pass: each thread keeps the largest of what it saw, and its sum relative to that. Every thread
// gets the result. Minus infinity adds nothing; anything infinite or NaN beside it makes the sum NaN.
// The first n_held packs stay in `held`, each for the thread that read it.
template <int kWidth>
__device__ Exponentials exponentials(const float* row, int64_t V, Pack<float, kWidth>* held,
                                     int64_t n_held) {
  const int64_t n_packs = V / kWidth, step = blockDim.x;
  float largest = -FLT_MAX;
  double sum = 0;
  for (int64_t first = threadIdx.x; first < n_packs; first += kInFlight * step) {
    Pack<float, kWidth> x[kInFlight];
    for (int u = 0; u < kInFlight; ++u) {
      if (first + u * step < n_packs) x[u] = load<kWidth>(row + (first + u * step) * kWidth);
    }
    float above = largest;
    for (int u = 0; u < kInFlight; ++u) {
      if (first + u * step >= n_packs) continue;
      if (first + u * step < n_held) held[first + u * step] = x[u];
      for (int j = 0; j < kWidth; ++j) above = above < x[u].at[j] ? x[u].at[j] : above;
    }
    sum *= double{expf(largest - above)};
    largest = above;
    for (int u = 0; u < kInFlight; ++u) {
      if (first + u * step >= n_packs) continue;
      for (int j = 0; j < kWidth; ++j) sum += double{expf(x[u].at[j] - largest)};
    }
  }
  const float of_row = reduce_block(Max{}, largest, -FLT_MAX);
  return {of_row, sum_block(sum * double{expf(largest - of_row)})};
}

__device__ double loss_of(const Exponentials& row, float target_logit) {
  return double{row.largest} - double{target_logit} + log(row.sum);
}

template <int kWidth>
__global__ void __launch_bounds__(kMostThreads)
    forward_kernel(View<float, 1> loss, View<const float, 2> logits, const int32_t* targets) {
  const int64_t t = blockIdx.x, target = targets[t];
  if (target < 0) {
    if (threadIdx.x == 0) loss(t) = 0.0F;
    return;
  }
  const Exponentials row = exponentials<kWidth>(&logits(t, 0), logits.dim(1), nullptr, 0);
  if (threadIdx.x == 0) loss(t) = static_cast<float>(loss_of(row, logits(t, target)));
}

template <int kWidth>
__global__ void __launch_bounds__(kMostThreads)
    forward_backward_kernel(View<float, 1> loss, View<float, 2> logits, const int32_t* targets,
                            float scale, int64_t n_held) {
  HADAL_DYNAMIC_SHARED(unsigned char, shared);
  auto* const held = reinterpret_cast<Pack<float, kWidth>*>(shared);
  const int64_t t = blockIdx.x, target = targets[t], n_packs = logits.dim(1) / kWidth;
  const int64_t step = blockDim.x;
  float* const x = &logits(t, 0);
  if (target < 0) {
    for (int64_t pack = threadIdx.x; pack < n_packs; pack += step) {
      store(x + pack * kWidth, Pack<float, kWidth>{});
    }
    if (threadIdx.x == 0) loss(t) = 0.0F;
    return;
  }
  const Exponentials row = exponentials<kWidth>(x, logits.dim(1), held, n_held);
  float of_target = 0;
  // Of the thread that will write there: no other reads the target's logit.
  if (target / kWidth % step == threadIdx.x) {
    const double lost = loss_of(row, x[target]);
    loss(t) = static_cast<float>(lost);
    of_target = scale * static_cast<float>(expm1(-lost));  // p - 1 without the cancellation
  }
  const auto factor = static_cast<float>(1.0 / row.sum);
  // What was read last may still be in the cache: back from there.
  for (int64_t round = ceil_div(n_packs, kInFlight * step); round-- > 0;) {
    const int64_t first = round * kInFlight * step + threadIdx.x;
    Pack<float, kWidth> values[kInFlight];
    for (int u = 0; u < kInFlight; ++u) {
      const int64_t pack = first + u * step;
      if (pack < n_packs) values[u] = pack < n_held ? held[pack] : load<kWidth>(x + pack * kWidth);
    }
    for (int u = 0; u < kInFlight; ++u) {
      const int64_t v = (first + u * step) * kWidth;
      if (first + u * step >= n_packs) continue;
      for (int j = 0; j < kWidth; ++j) {
        const float p = expf(values[u].at[j] - row.largest) * factor;
        values[u].at[j] = v + j == target ? of_target : scale * p;
      }
      store(x + v, values[u]);
    }
  }
}

// By the vocabulary alone.
int threads_for(int64_t n_packs) {
  int threads = kWarp;
  while (threads < kMostThreads && threads * kInFlight < n_packs) threads *= 2;
  return threads;
}

}  // namespace

void cross_entropy_forward(Stream& stream, View<float, 1> loss, View<const float, 2> logits,
                           std::span<const int32_t> targets) {
  const bool fours = in_fours(logits);
  const Grid grid = block_each(logits.dim(0), threads_for(logits.dim(1) / (fours ? kFour : 1)));
  launch("cross_entropy_forward", fours ? forward_kernel<kFour> : forward_kernel<1>, grid, stream,
         loss, logits, own(stream).upload(targets));
}

void cross_entropy_forward_backward(Stream& stream, View<float, 1> loss, View<float, 2> logits,
                                    std::span<const int32_t> targets, float scale) {
  const bool fours = in_fours(logits);
  const int width = fours ? kFour : 1;
  const int64_t n_packs = logits.dim(1) / width, pack_bytes = width * int64_t{sizeof(float)};
  const int64_t n_held = std::min(n_packs, kHeldBytes / pack_bytes);
  Grid grid = block_each(logits.dim(0), threads_for(n_packs));
  grid.shared_bytes = n_held * pack_bytes;
  launch("cross_entropy_forward_backward",
         fours ? forward_backward_kernel<kFour> : forward_backward_kernel<1>, grid, stream, loss,
         logits, own(stream).upload(targets), scale, n_held);
}

}  // namespace hadal::cuda
