// Absorbed attention over the paged cache: time, bytes of rows, queries and results over time beside a
// copy's rate in the same program, and floating-point operations over time. Pages lie shuffled in 2.4 GB,
// calls go round them, so that none finds its rows in the cache. About 10 s.
#include "hadal/kernels/cuda/hopper/latent_decode.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "bench/cuda/event_times.h"

namespace hadal {
namespace {

constexpr int64_t kPoolBytes = int64_t{128} * 16384 * 1152;
constexpr int64_t kMaxHeads = 128, kMaxTokens = 256;
constexpr int64_t kQueryWidth = 576, kValueWidth = 512;

template <class T>
T* device_memory(int64_t bytes) {
  void* data = nullptr;
  cuda::check(cudaMalloc(&data, static_cast<size_t>(bytes)), "bench memory");
  return static_cast<T*>(data);
}
template <class T>
T* on_device(const std::vector<T>& values) {
  T* data = device_memory<T>(static_cast<int64_t>(values.size() * sizeof(T)));
  cuda::check(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyDefault),
              "copy");
  return data;
}

// Median over rounds of the seconds that one of `calls` calls takes.
template <class Call>
double seconds_per_call(int calls, const Call& call) {
  const auto round = [&](int r) {
    for (int i = 0; i < calls; ++i) call(r * calls + i);
  };
  return median_seconds(nullptr, 1, 5, round) / calls;
}

// Random pages of a form, repeated over the pool.
void fill_pool(std::byte* pool, LatentForm form) {
  const LatentLayout layout{form, 512, 64};
  const int64_t n_rows = 256 * kPageRows, row_bytes = layout.row_bytes();
  std::vector<std::byte> pattern(static_cast<size_t>(n_rows * row_bytes));
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 1);
  for (int64_t j = 0; j < n_rows; ++j) {
    std::byte* row = pattern.data() + j * row_bytes;
    const bool fp8 = form == LatentForm::kFp8;
    for (int64_t i = 0; i < kQueryWidth; ++i) {
      const float x = normal(random);
      if (fp8 && i < 512) {
        const f8e4m3 code = to_f8e4m3(64 * x);
        std::memcpy(row + i, &code, 1);
      } else {
        const bf16 rounded = to_bf16(x);
        std::memcpy(row + (fp8 ? layout.rope_at() + 2 * (i - 512) : 2 * i), &rounded, 2);
      }
    }
    for (int64_t i = 0; fp8 && i < layout.n_scales(); ++i) {
      const float scale = 1.0F / 64;
      std::memcpy(row + layout.scales_at() + 4 * i, &scale, 4);
    }
  }
  const auto bytes = static_cast<int64_t>(pattern.size());
  for (int64_t at = 0; at < kPoolBytes; at += bytes) {
    cuda::check(
        cudaMemcpy(pool + at, pattern.data(), static_cast<size_t>(std::min(bytes, kPoolBytes - at)),
                   cudaMemcpyDefault),
        "copy");
  }
}

struct Bench {
  std::byte* pool;
  bf16* q;  // [kMaxTokens, kMaxHeads, 576]
  bf16* o;  // [kMaxTokens, kMaxHeads, 512]
  void* workspace;
  int64_t workspace_bytes;
  double copy_rate;  // bytes/s, read and written

  void measure(LatentForm form, int64_t n_heads, int64_t n_queries, int64_t batch, int64_t length,
               int64_t rows_per_split) const {
    const LatentLayout layout{form, 512, 64};
    const int64_t n_pages = kPoolBytes / layout.page_bytes(), per_sequence = pages_for(length);
    const int64_t per_call = batch * per_sequence;
    const int64_t n_sets = std::max<int64_t>(1, std::min<int64_t>(n_pages / per_call, 64));
    std::vector<int32_t> ids(static_cast<size_t>(n_pages));
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(3));
    ids.resize(static_cast<size_t>(n_sets * per_call));
    std::vector<int32_t> rows(static_cast<size_t>(batch), static_cast<int32_t>(length)), first,
        queries(rows);
    for (int64_t s = 0; s < batch; ++s) first.push_back(static_cast<int32_t>(s * n_queries));
    std::fill(queries.begin(), queries.end(), static_cast<int32_t>(n_queries));
    int32_t* const buffers[] = {on_device(ids), on_device(rows), on_device(first),
                                on_device(queries)};

    cuda::LatentDecode call;
    call.q_latent = {q, n_heads * kQueryWidth, kQueryWidth};
    call.q_rope = {q + kValueWidth, n_heads * kQueryWidth, kQueryWidth};
    call.o_bf16 = {o, n_heads * kValueWidth, kValueWidth};
    call.n_tokens = batch * n_queries;
    call.n_heads = n_heads;
    call.form = form;
    call.pages = pool;
    call.n_pages = n_pages;
    call.n_sequences = batch;
    call.max_queries = n_queries;
    call.max_pages = per_sequence;
    call.n_rows = buffers[1];
    call.first_query = buffers[2];
    call.n_queries = buffers[3];
    call.scale = 0.0722F;
    call.rows_per_split = rows_per_split;
    call.workspace = workspace;
    call.workspace_bytes = workspace_bytes;
    const int64_t row_bytes = batch * length * layout.row_bytes();
    const int calls =
        static_cast<int>(std::clamp<int64_t>(int64_t{4'000'000'000} / row_bytes, 2, 100));
    const double seconds = seconds_per_call(calls, [&](int i) {
      call.page_table = buffers[0] + (i % n_sets) * per_call;
      cuda::latent_decode(call, nullptr);
    });
    for (int32_t* buffer : buffers) cudaFree(buffer);

    const int64_t vectors = batch * n_queries * n_heads;
    const double bytes = static_cast<double>(row_bytes + vectors * (kQueryWidth + kValueWidth) * 2);
    const double flops = 2.0 * static_cast<double>(vectors * length * (kQueryWidth + kValueWidth));
    std::printf("%-5s %5ld %2ld %5ld %6ld %6ld %9.1f %8.0f %6.1f%% %8.0f\n",
                std::string(latent_form_name(form)).c_str(), n_heads, n_queries, batch, length,
                rows_per_split == 0 ? cuda::latent_decode_rows_per_split(n_heads) : rows_per_split,
                1e6 * seconds, 1e-9 * bytes / seconds, 100 * bytes / seconds / copy_rate,
                1e-12 * flops / seconds);
  }
};

int run() {
  Bench bench{};
  bench.pool = device_memory<std::byte>(kPoolBytes);
  bench.workspace_bytes = int64_t{1} << 31;
  bench.workspace = device_memory<std::byte>(bench.workspace_bytes);
  const double seconds = seconds_per_call(4, [&](int) {
    cuda::check(
        cudaMemcpyAsync(bench.workspace, bench.pool, static_cast<size_t>(bench.workspace_bytes),
                        cudaMemcpyDeviceToDevice, nullptr),
        "copy");
  });
  bench.copy_rate = 2 * static_cast<double>(bench.workspace_bytes) / seconds;
  std::printf("copy, read and written: %.0f GB/s\n", 1e-9 * bench.copy_rate);

  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 1.5F);
  std::vector<bf16> q(static_cast<size_t>(kMaxTokens * kMaxHeads * kQueryWidth));
  for (bf16& x : q) x = to_bf16(normal(random));
  bench.q = on_device(q);
  bench.o = device_memory<bf16>(kMaxTokens * kMaxHeads * kValueWidth * 2);

  for (const LatentForm form : {LatentForm::kBF16, LatentForm::kFp8}) {
    fill_pool(bench.pool, form);
    std::printf("rows  heads  q batch length  split        us     GB/s of copy  TFLOP/s\n");
    for (const int64_t n_heads : {16, 128}) {
      for (const int64_t n_queries : {1, 2}) {
        for (const int64_t batch : {1, 8, 64, 128}) {
          for (const int64_t length : {1024, 4096, 16384}) {
            bench.measure(form, n_heads, n_queries, batch, length, 0);
          }
        }
      }
    }
    for (const int64_t split : {512, 1024, 4096, 16384}) {
      bench.measure(form, 16, 1, 128, 16384, split);
      bench.measure(form, 128, 1, 128, 16384, split);
      bench.measure(form, 128, 1, 1, 16384, split);
    }
  }
  return 0;
}

}  // namespace
}  // namespace hadal

int main() {
  try {
    return hadal::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
