#include "hadal/kernels/kl_divergence.h"

#include <cfloat>

#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {
namespace {

constexpr int kThreads = 512;

// log sum_v exp x[v]; every thread gets it.
__device__ double log_sum_exp(const float* x, int64_t V) {
  float largest = -FLT_MAX;
  for (int64_t v = threadIdx.x; v < V; v += blockDim.x) largest = fmaxf(largest, x[v]);
  largest = reduce_block(Max{}, largest, -FLT_MAX);
  double sum = 0;
  for (int64_t v = threadIdx.x; v < V; v += blockDim.x) sum += exp(double{x[v]} - largest);
  return largest + log(sum_block(sum));
}

// A block a row. In f64 throughout: equal rows must be 0 apart, and near ones nearly so.
__global__ void kl_kernel(View<float, 1> kl, View<const float, 2> logits_p,
                          View<const float, 2> logits_q) {
  const int64_t t = blockIdx.x, V = logits_p.dim(1);
  const float* const p = logits_p.data() + t * logits_p.stride(0);
  const float* const q = logits_q.data() + t * logits_q.stride(0);
  const double norm_p = log_sum_exp(p, V), norm_q = log_sum_exp(q, V);
  double sum = 0;
  for (int64_t v = threadIdx.x; v < V; v += blockDim.x) {
    const double log_p = double{p[v]} - norm_p, log_q = double{q[v]} - norm_q;
    sum += exp(log_p) * (log_p - log_q);
  }
  sum = sum_block(sum);
  // Rounding may leave equal rows a little below zero; a NaN stays one.
  if (threadIdx.x == 0) kl(t) = V == 0 || sum < 0.0 ? 0.0F : static_cast<float>(sum);
}

}  // namespace

void kl_divergence(Stream& stream, View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q) {
  launch("kl_divergence", kl_kernel, block_each(kl.dim(0), kThreads), stream, kl, logits_p,
         logits_q);
}

}  // namespace hadal::cuda
