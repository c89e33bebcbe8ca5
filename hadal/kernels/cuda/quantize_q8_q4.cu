// The search of the reference, where its formulas stand, operation by operation: the same codes. A thread
// has a block of values, for its sums have an order.
#include "hadal/kernels/quantize_q8_q4.h"

#include "hadal/kernels/cuda/pack.h"
#include "hadal/kernels/cuda/values.h"
#include "hadal/tensor/quantized.h"

namespace hadal::cuda {
namespace {

constexpr int kBlock = static_cast<int>(kQuantBlock);
constexpr int kParts = 8;                      // sums side by side
constexpr float kSmallestScale = 0x1.0p-126F;  // keep clear of subnormals

struct Codes8 {
  static constexpr float kLowest = -127.0F, kHighest = 127.0F;
  static constexpr float kFirst = 123.0F, kLast = 131.0F, kStep = 1.0F;
  using Stored = int8_t;
  static constexpr int kEach = 1;  // codes in a stored number
  __device__ static Stored stored(const float* codes) { return static_cast<Stored>(codes[0]); }
};
struct Codes4 {
  static constexpr float kLowest = -8.0F, kHighest = 7.0F;
  static constexpr float kFirst = 7.0F, kLast = 9.0F, kStep = 0.25F;
  using Stored = uint8_t;
  static constexpr int kEach = 2;
  __device__ static Stored stored(const float* codes) {
    const int low = static_cast<int>(codes[0]) + 8, high = static_cast<int>(codes[1]) + 8;
    return static_cast<Stored>(low | high << 4);
  }
};

template <class Codes>
__device__ float code_of(float x) {
  constexpr float kShift = 0x1.8p23F;
  return fminf(fmaxf((x + kShift) - kShift, Codes::kLowest), Codes::kHighest);
}

// unit: scaled to a largest value of -1.
template <class Codes>
__device__ float best_scale(const float (&unit)[kBlock]) {
  float least = INFINITY, best = 1.0F;
  for (float at = Codes::kFirst; at <= Codes::kLast; at += Codes::kStep) {
    float rr[kParts] = {}, rc[kParts] = {}, cc[kParts] = {};
    for (int i = 0; i < kBlock; ++i) {
      const float x = unit[i] * at, c = code_of<Codes>(x), r = x - c;
      rr[i % kParts] += r * r;
      rc[i % kParts] += r * c;
      cc[i % kParts] += c * c;
    }
    float sum_rr = 0.0F, sum_rc = 0.0F, sum_cc = 0.0F;
    for (int part = 0; part < kParts; ++part) {
      sum_rr += rr[part];
      sum_rc += rc[part];
      sum_cc += cc[part];
    }
    const float error = (sum_rr - sum_rc * sum_rc / sum_cc) / (at * at);
    if (error < least) {
      least = error;
      best = (1.0F + sum_rc / sum_cc) / at;
    }
  }
  return best;
}

template <class Codes>
__device__ bf16 scale_of(const float (&x)[kBlock]) {
  float largest = 0.0F;
  for (int i = 0; i < kBlock; ++i) {
    if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
  }
  if (largest == 0.0F) return rounded_to<bf16>(1.0F);
  float unit[kBlock];
  for (int i = 0; i < kBlock; ++i) unit[i] = -(x[i] / largest);
  const float scale = -best_scale<Codes>(unit) * largest;
  return rounded_to<bf16>(copysignf(fmaxf(fabsf(scale), kSmallestScale), scale));
}

template <class Codes>
__global__ void quantize_kernel(View<typename Codes::Stored, 2> codes, View<bf16, 2> scales,
                                View<const float, 2> w) {
  const int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, n_blocks = scales.dim(1);
  if (at >= scales.size()) return;
  const int64_t n = at / n_blocks, b = at % n_blocks, first = b * kBlock;
  float x[kBlock];
  // Zeros behind a ragged end: a code of 0 adds to no sum.
  for (int i = 0; i < kBlock; ++i) x[i] = first + i < w.dim(1) ? w(n, first + i) : 0.0F;
  scales(n, b) = scale_of<Codes>(x);
  const float scale = value_of(scales(n, b));
  for (int i = 0; i < kBlock; ++i) x[i] = code_of<Codes>(x[i] / scale);
  for (int i = 0; i < kBlock; i += Codes::kEach) {
    if (first + i < w.dim(1)) codes(n, (first + i) / Codes::kEach) = Codes::stored(x + i);
  }
}

template <class Codes>
void quantize(const char* what, Stream& stream, View<typename Codes::Stored, 2> codes,
              View<bf16, 2> scales, View<const float, 2> w) {
  launch(what, quantize_kernel<Codes>, one_each(scales.size()), stream, codes, scales, w);
}

}  // namespace

void quantize_q8(Stream& stream, View<int8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w) {
  quantize<Codes8>("quantize_q8", stream, codes, scales, w);
}

void quantize_q4(Stream& stream, View<uint8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w) {
  quantize<Codes4>("quantize_q4", stream, codes, scales, w);
}

}  // namespace hadal::cuda
