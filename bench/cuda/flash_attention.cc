// Attention at DeepSeek-V3's head widths on one card: time and rate, forward and backward. Fresh random
// values, two sets of inputs in turn, each larger than the L2 cache; the median of the runs by events.
//
// A product of m x n x k counts 2mnk operations, half of the square of a sequence: forward has 192 + 128
// columns per score, backward 832 (five products). cuDNN on one H100: forward 562, both 448 TFLOP/s.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "bench/cuda/event_times.h"
#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/flash_attention.h"

namespace hadal {
namespace {

using cuda::check;

template <class T>
T* on_card(int64_t count) {
  void* data = nullptr;
  check(cudaMalloc(&data, static_cast<size_t>(count) * sizeof(T)), "memory");
  check(cudaMemset(data, 0, static_cast<size_t>(count) * sizeof(T)), "memory");
  return static_cast<T*>(data);
}

bf16* normal_on_card(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<bf16> some(1 << 20);
  for (bf16& x : some) x = to_bf16(normal(generator));
  bf16* data = on_card<bf16>(count);
  const auto part = static_cast<int64_t>(some.size()) - 12345 * static_cast<int64_t>(seed % 7);
  for (int64_t at = 0; at < count; at += part)
    check(cudaMemcpy(data + at, some.data(),
                     static_cast<size_t>(std::min(part, count - at)) * sizeof(bf16),
                     cudaMemcpyHostToDevice),
          "inputs");
  return data;
}

struct Inputs {
  bf16 *q, *kv, *k_rope, *d_o, *o;
  float* lse;
};

void bench(int64_t count, int64_t length, int64_t heads, int runs) {
  const cuda::FlashDims dims{heads, 128, 64, 128};
  const int64_t T = count * length;
  std::vector<int64_t> offsets;
  for (int64_t s = 0; s <= count; ++s) offsets.push_back(s * length);
  int64_t* const on = on_card<int64_t>(count + 1);
  check(cudaMemcpy(on, offsets.data(), offsets.size() * sizeof(int64_t), cudaMemcpyHostToDevice),
        "offsets");
  const cuda::FlashSequences sequences{on, count, T, length};
  Inputs in[2];
  for (unsigned i = 0; i < 2; ++i)
    in[i] = {normal_on_card(T * heads * 192, 5 * i + 1),
             normal_on_card(T * heads * 256, 5 * i + 2),
             normal_on_card(T * 64, 5 * i + 3),
             normal_on_card(T * heads * 128, 5 * i + 4),
             on_card<bf16>(T * heads * 128),
             on_card<float>(T * heads)};
  float* const dq = on_card<float>(T * heads * 192);
  float* const dkv = on_card<float>(T * heads * 256);
  float* const dk_rope = on_card<float>(T * 64);
  auto* const workspace = on_card<uint8_t>(
      static_cast<int64_t>(std::max(cuda::flash_attention_forward_workspace(),
                                    cuda::flash_attention_backward_workspace(sequences, dims))));
  const float scale = 1.0F / std::sqrt(192.0F);

  const auto forward = [&](int i) {
    cuda::flash_attention_forward(nullptr, in[i].o, in[i].lse, in[i].q, in[i].kv, in[i].k_rope,
                                  sequences, dims, scale, workspace);
  };
  const auto backward = [&](int i, auto* dq_out, auto* dkv_out) {
    cuda::flash_attention_backward(nullptr, dq_out, dkv_out, dk_rope, in[i].d_o, in[i].q, in[i].kv,
                                   in[i].k_rope, in[i].o, in[i].lse, sequences, dims, scale,
                                   workspace);
  };
  const double f = median_seconds(nullptr, 2, runs, [&](int i) { forward(i % 2); });
  const double b = median_seconds(nullptr, 2, runs, [&](int i) { backward(i % 2, dq, dkv); });
  const double b16 = median_seconds(nullptr, 2, runs, [&](int i) {
    backward(i % 2, reinterpret_cast<bf16*>(dq), reinterpret_cast<bf16*>(dkv));
  });
  const auto scores = static_cast<double>(count * heads) * static_cast<double>(length) *
                      static_cast<double>(length) / 2.0;
  const double forward_flop = scores * 2 * 320, backward_flop = scores * 2 * 832;
  std::printf(
      "%3lld x %5lld, %3lld heads: forward %7.3f ms %4.0f TFLOP/s | backward F32 %7.3f ms %4.0f, "
      "BF16 %7.3f ms %4.0f | both (BF16) %4.0f; with backward as 2.5 forwards %4.0f\n",
      static_cast<long long>(count), static_cast<long long>(length), static_cast<long long>(heads),
      f * 1e3, forward_flop / f / 1e12, b * 1e3, backward_flop / b / 1e12, b16 * 1e3,
      backward_flop / b16 / 1e12, (forward_flop + backward_flop) / (f + b16) / 1e12,
      3.5 * forward_flop / (f + b16) / 1e12);
  std::fflush(stdout);
  for (const Inputs& x : in)
    for (void* data :
         {static_cast<void*>(x.q), static_cast<void*>(x.kv), static_cast<void*>(x.k_rope),
          static_cast<void*>(x.d_o), static_cast<void*>(x.o), static_cast<void*>(x.lse)})
      check(cudaFree(data), "free");
  for (void* data : {static_cast<void*>(dq), static_cast<void*>(dkv), static_cast<void*>(dk_rope),
                     static_cast<void*>(workspace), static_cast<void*>(on)})
    check(cudaFree(data), "free");
}

}  // namespace
}  // namespace hadal

int main() {
  std::printf("causal attention 192/128, BF16; goals 562 forward, 448 both (128 heads, 4096)\n");
  hadal::bench(1, 4096, 16, 9);
  hadal::bench(1, 4096, 128, 9);
  hadal::bench(4, 1024, 16, 9);
  hadal::bench(4, 1024, 128, 9);
}
