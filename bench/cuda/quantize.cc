// FP8 tiles on a card: each kernel's bytes (inputs read once, codes and scales written once) over its time,
// beside the rate of a copy in the same program. Operands are larger than the L2. About 3 s.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/cuda/event_times.h"
#include "hadal/core/checked_math.h"
#include "hadal/kernels/cuda/quantize_fp8.h"
#include "hadal/kernels/cuda/stream.h"

namespace hadal {
namespace {

constexpr int64_t kTokens = 16384, kModel = 7168, kExpert = 2048;

class Bench {
 public:
  Bench() : stream_(cuda::Stream::open()) {
    std::printf("%-34s %8s %8s %8s %8s\n", "", "GB", "ms", "TB/s", "of copy");
  }
  cuda::Stream& stream() { return *stream_; }

  template <class T>
  T* memory(int64_t n) {
    void* data = nullptr;
    cuda::check(cudaMalloc(&data, static_cast<size_t>(n) * sizeof(T)), "bench memory");
    return static_cast<T*>(data);
  }
  // Random values: a few million of them, again and again.
  template <class T>
  T* values(int64_t n) {
    std::vector<T> pattern(size_t{1} << 22);
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, 1);
    for (T& value : pattern) {
      const float x = normal(random);
      if constexpr (std::is_same_v<T, bf16>) {
        value = to_bf16(x);
      } else {
        value = x;
      }
    }
    T* const data = memory<T>(n);
    const auto step = static_cast<int64_t>(pattern.size());
    for (int64_t at = 0; at < n; at += step) {
      const auto bytes = static_cast<size_t>(std::min(step, n - at)) * sizeof(T);
      cuda::check(cudaMemcpy(data + at, pattern.data(), bytes, cudaMemcpyDefault), "copy");
    }
    return data;
  }

  void run(const char* name, double bytes, const std::function<void()>& call) {
    const double seconds = seconds_of(call), rate = bytes / seconds;
    if (copy_rate_ == 0) copy_rate_ = rate;
    std::printf("%-34s %8.3f %8.4f %8.3f %7.1f%%\n", name, bytes * 1e-9, seconds * 1e3,
                rate * 1e-12, 100 * rate / copy_rate_);
  }

 private:
  double seconds_of(const std::function<void()>& call) {
    constexpr int kRounds = 11, kCalls = 4;
    const auto round = [&](int) {
      for (int i = 0; i < kCalls; ++i) call();
    };
    return median_seconds(cuda::own(*stream_).handle(), 1, kRounds, round) / kCalls;
  }

  std::unique_ptr<cuda::Stream> stream_;
  double copy_rate_ = 0;
};

template <class T>
void measure(Bench& bench, const char* type) {
  const int64_t n = kTokens * kModel, n_tiles = n / 128;
  const View<const T, 2> x(bench.values<T>(n), {kTokens, kModel});
  const View<const float, 1> w(bench.values<float>(kModel), {kModel});
  const View<float, 1> r(bench.memory<float>(kTokens), {kTokens});
  const cuda::TileCodes rows{bench.memory<f8e4m3>(n), kModel, bench.memory<float>(n_tiles),
                             kModel / 128, 1};
  const cuda::TileCodes columns{bench.memory<f8e4m3>(n), kTokens, bench.memory<float>(n_tiles),
                                kModel, 1};
  cuda::Stream& stream = bench.stream();
  const double read = static_cast<double>(n) * sizeof(T);
  const double written = static_cast<double>(n + 4 * n_tiles);
  const auto name = [&](const char* what) {
    static std::string text;
    text = std::string(what) + ", " + type;
    return text.c_str();
  };
  for (const bool power_of_two : {true, false}) {
    const cuda::ScaleRule rule{power_of_two, false};
    std::printf("scales %s\n", power_of_two ? "rounded up to powers of two" : "amax / 448");
    bench.run(name("row tiles"), read + written,
              [&] { cuda::quantize_row_tiles(stream, rows, x, rule); });
    bench.run(name("column tiles, turned"), read + written,
              [&] { cuda::quantize_column_tiles(stream, columns, x, rule); });
    bench.run(name("row and column tiles"), read + 2 * written,
              [&] { cuda::quantize_row_and_column_tiles(stream, rows, columns, x, rule); });
    bench.run(name("blocks"), read + static_cast<double>(n),
              [&] { cuda::quantize_blocks(stream, rows, nullptr, 0, x, power_of_two); });
    bench.run(name("blocks, also turned"), read + 2 * static_cast<double>(n), [&] {
      cuda::quantize_blocks(stream, rows, columns.codes, kTokens, x, power_of_two);
    });
    bench.run(name("RMSNorm and row tiles"), read + written,
              [&] { cuda::rmsnorm_row_tiles(stream, rows, r, x, w, 1e-6F, rule); });
    // gate and up of kTokens * 7 / 4 tokens.
    const int64_t tokens = n / (2 * kExpert);
    const View<const T, 2> gate(x.data(), {tokens, kExpert}, {2 * kExpert, 1});
    const View<const T, 2> up(x.data() + kExpert, {tokens, kExpert}, {2 * kExpert, 1});
    const cuda::TileCodes h{rows.codes, kExpert, rows.scales, kExpert / 128, 1};
    bench.run(name("SwiGLU and row tiles"), read + written / 2,
              [&] { cuda::swiglu_row_tiles(stream, h, gate, up, rule); });
    cuda::quantize_row_tiles(stream, rows, x, rule);
    bench.run("row tiles to column tiles", 2 * written,
              [&] { cuda::retile_rows_to_columns(stream, columns, rows, kTokens, kModel, rule); });
  }
}

int run() {
  Bench bench;
  const int64_t bytes = int64_t{512} << 20;
  auto* const from = bench.values<float>(bytes / 4);
  auto* const to = bench.memory<float>(bytes / 4);
  cudaStream_t on = cuda::own(bench.stream()).handle();
  bench.run("copy", 2.0 * static_cast<double>(bytes), [&] {
    cuda::check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, on),
                "copy");
  });
  measure<bf16>(bench, "BF16");
  measure<float>(bench, "F32");
  return 0;
}

}  // namespace
}  // namespace hadal

int main() { return hadal::run(); }
