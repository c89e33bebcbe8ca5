// The kernels for any shape in F32 (kernels/cuda/): attention at DeepSeek-V3's widths, attention on the
// latent cache, the router. Two sets of inputs in turn, the median of the runs by events. Beside them what
// an H100 can do: 67 TFLOP/s of F32 multiply-adds, 3 TB/s.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "bench/cuda/event_times.h"
#include "hadal/kernels/attention.h"
#include "hadal/kernels/cuda/stream.h"
#include "hadal/kernels/latent_attention.h"
#include "hadal/kernels/router.h"

namespace hadal {
namespace {

using cuda::check;
using cuda::own;

std::vector<float> normal(int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(static_cast<size_t>(n));
  const size_t fresh = std::min<size_t>(values.size(), 1 << 20);  // then repeated
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = i < fresh ? distribution(generator) : values[i - fresh + i / fresh % 977];
  }
  return values;
}

class Bench {
 public:
  Bench() : stream_(cuda::Stream::open()) {}

  float* floats(int64_t n, unsigned seed = 0) {
    tensors_.push_back(Tensor::empty(own(*stream_).scratch(), DType::kF32, {n}));
    auto* const on_card = static_cast<float*>(tensors_.back().raw());
    if (seed > 0) {
      stream_->memory().copy(on_card, normal(n, seed).data(), n * 4);
    } else {
      stream_->memory().zero(on_card, n * 4);
    }
    return on_card;
  }
  template <class Run>
  double seconds(const Run& run) {
    return median_seconds(own(*stream_).handle(), 2, 7,
                          [&](int i) { run(static_cast<size_t>(i % 2)); });
  }

  void attention(int64_t T, int64_t H) {
    const View<float, 3> q[2] = {{floats(T * H * 192, 1), {T, H, 192}},
                                 {floats(T * H * 192, 2), {T, H, 192}}};
    const View<float, 3> kv[2] = {{floats(T * H * 256, 3), {T, H, 256}},
                                  {floats(T * H * 256, 4), {T, H, 256}}};
    const View<float, 2> rope(floats(T * 64, 5), {T, 64}), lse(floats(T * H), {T, H}),
        dk_rope(floats(T * 64), {T, 64});
    const View<float, 3> o(floats(T * H * 128), {T, H, 128}),
        d_o(floats(T * H * 128, 6), o.shape()), dq(floats(T * H * 192), q[0].shape()),
        dkv(floats(T * H * 256), kv[0].shape());
    const std::vector<int64_t> offsets = {0, T};
    const float scale = 1.0F / std::sqrt(192.0F);
    const double forward = seconds([&](size_t i) {
      cuda::attention_forward(*stream_, o, lse, q[i], kv[i], rope, offsets, scale);
    });
    const double backward = seconds([&](size_t i) {
      cuda::attention_backward(*stream_, dq, dkv, dk_rope, d_o, q[i], kv[i], rope, o, lse, offsets,
                               scale);
    });
    const double scores =
        static_cast<double>(T) * static_cast<double>(T) / 2 * static_cast<double>(H);
    std::printf(
        "attention 192/128, %lld tokens, %lld heads: forward %.2f ms %.1f TFLOP/s, backward "
        "%.2f ms %.1f TFLOP/s (of 67)\n",
        static_cast<long long>(T), static_cast<long long>(H), forward * 1e3,
        scores * 640 / forward / 1e12, backward * 1e3, scores * 1664 / backward / 1e12);
    tensors_.clear();
  }

  void latent(LatentForm form, int64_t n, int64_t n_rows) {
    const int64_t H = 128, n_pages = n * pages_for(n_rows);
    LatentPagesView pages{{form, 512, 64}, nullptr, n_pages};
    const int64_t words = n_pages * pages.layout.page_bytes() / 4;
    // Any bytes are rows; zeros are as fast as others here.
    pages.data = reinterpret_cast<std::byte*>(floats(words));
    const View<float, 3> q[2] = {{floats(n * H * 512, 1), {n, H, 512}},
                                 {floats(n * H * 512, 2), {n, H, 512}}};
    const View<float, 3> rope(floats(n * H * 64, 3), {n, H, 64}),
        o(floats(n * H * 512), {n, H, 512});
    std::vector<int32_t> ids(static_cast<size_t>(n_pages));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
    std::vector<SequenceRows> sequences;
    const auto of_each = static_cast<size_t>(pages_for(n_rows));
    for (int64_t s = 0; s < n; ++s) {
      sequences.push_back(
          {s, 1, n_rows,
           std::span<const int32_t>(ids).subspan(static_cast<size_t>(s) * of_each, of_each)});
    }
    const double time = seconds(
        [&](size_t i) { cuda::latent_attention(*stream_, o, q[i], rope, pages, sequences, 0.1F); });
    const double flop = static_cast<double>(n * n_rows * H) * 2 * (576 + 512);
    std::printf("latent attention, %s, %lld x %lld rows: %.2f ms %.1f TFLOP/s (of 67), %.2f TB/s\n",
                std::string(latent_form_name(form)).c_str(), static_cast<long long>(n),
                static_cast<long long>(n_rows), time * 1e3, flop / time / 1e12,
                static_cast<double>(words) * 4 / time / 1e12);
    tensors_.clear();
  }

  void router(int64_t T) {
    const RouterConfig config;
    const int64_t E = config.n_routed_experts, K = config.top_k;
    const View<float, 2> logits[2] = {{floats(T * E, 1), {T, E}}, {floats(T * E, 2), {T, E}}};
    const View<float, 2> scores(floats(T * E), {T, E}), gates(floats(T * K), {T, K});
    const View<float, 1> bias(floats(E), {E});
    const View<int32_t, 2> indices(reinterpret_cast<int32_t*>(floats(T * K)), {T, K});
    const double forward = seconds([&](size_t i) {
      cuda::route_forward(*stream_, indices, gates, scores, logits[i], bias, config);
    });
    const double backward = seconds([&](size_t i) {
      cuda::route_backward(*stream_, logits[i], gates, {}, scores, indices, config);
    });
    const double bytes = static_cast<double>(T * E) * 8;
    std::printf(
        "router, %lld tokens, 256 experts: forward %.1f us %.2f TB/s, backward %.1f us %.2f "
        "TB/s (of 3)\n",
        static_cast<long long>(T), forward * 1e6, bytes / forward / 1e12, backward * 1e6,
        bytes / backward / 1e12);
    tensors_.clear();
  }

 private:
  std::unique_ptr<cuda::Stream> stream_;
  std::vector<Tensor> tensors_;
};

}  // namespace
}  // namespace hadal

int main() {
  hadal::Bench bench;
  bench.attention(4096, 16);
  bench.attention(1024, 64);
  for (const hadal::LatentForm form : hadal::kLatentForms) bench.latent(form, 32, 4096);
  bench.latent(hadal::LatentForm::kBF16, 1, 32768);
  bench.router(32768);
}
