// bench/gemm_bench.cc: our products against OpenBLAS, BLIS and oneDNN at the shapes of small
// mixture-of-experts models, all in one process, round by round in turn. Every side reads weights
// stored [out, in] as a checkpoint has them; nobody may pack them beforehand.
//
//   gemm_bench [--threads N] [--rounds R] [--only dense|grouped|backward] [--isa avx2|sse4]
//
// Cells are GFLOP/s, best of the rounds. `ratio` is the median over the rounds of (fastest
// library's time / our time) within the same round: on a noisy machine only that figure means
// something.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "hadal/ops/gemm.h"
#include "hadal/ops/grouped_gemm.h"
#include "hwy/targets.h"

namespace hadal {
namespace {

using Cblas = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int,
                       float, float*, int);
using Dnnl = int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t,
                     const float*, int64_t, float, float*, int64_t);

// C[m,n] = op(A) op(B) + beta C, all row-major.
struct Product {
  bool transpose_a, transpose_b;
  int64_t m, n, k;
  const float *a, *b;
  float* c;
  float beta;
  int64_t lda() const { return transpose_a ? m : k; }
  int64_t ldb() const { return transpose_b ? k : n; }
};

struct Library {
  std::string name;
  Cblas cblas = nullptr;
  Dnnl dnnl = nullptr;

  void run(const Product& p) const {
    const auto i = [](int64_t value) { return static_cast<int>(value); };
    if (cblas != nullptr) {
      constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;
      cblas(kRowMajor, p.transpose_a ? kTrans : kNoTrans, p.transpose_b ? kTrans : kNoTrans, i(p.m),
            i(p.n), i(p.k), 1.0F, p.a, i(p.lda()), p.b, i(p.ldb()), p.beta, p.c, i(p.n));
    } else {
      dnnl(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', p.m, p.n, p.k, 1.0F, p.a, p.lda(),
           p.b, p.ldb(), p.beta, p.c, p.n);
    }
  }
};

std::vector<Library> open_libraries() {
  std::vector<Library> libraries;
  const std::pair<const char*, const char*> known[] = {
      {"OpenBLAS", "libopenblas.so.0"}, {"BLIS", "libblis.so.4"}, {"oneDNN", "libdnnl.so.2"}};
  for (const auto& [name, file] : known) {
    void* handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      std::fprintf(stderr, "%s: not found, left out\n", file);
      continue;
    }
    Library library{name};
    library.dnnl = reinterpret_cast<Dnnl>(dlsym(handle, "dnnl_sgemm"));
    if (library.dnnl == nullptr)
      library.cblas = reinterpret_cast<Cblas>(dlsym(handle, "cblas_sgemm"));
    if (library.dnnl != nullptr || library.cblas != nullptr) libraries.push_back(library);
  }
  return libraries;
}

// One thread: its CPU time, so that other programs on the machine count less. Several: wall time.
double seconds(int threads) {
  timespec time{};
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::vector<float> values(int64_t n) {
  std::vector<float> result(static_cast<size_t>(n));
  uint32_t state = 1;
  for (float& value : result) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
  }
  return result;
}

// Times every candidate once a round, in turn. Between two of them the machine rests, so that one
// library's threads, which spin for a while after their work, do not slow the next candidate down.
class Race {
 public:
  Race(int rounds, int threads) : rounds_(rounds), threads_(threads) {}

  void run(const char* label, double flop,
           const std::vector<std::function<void()>>& candidates) const {
    const int repeats = static_cast<int>(std::clamp(6e8 / flop, 1.0, 2000.0));
    std::vector<double> best(candidates.size(), 1e30), ratios;
    for (int round = 0; round < rounds_; ++round) {
      std::vector<double> time(candidates.size());
      for (size_t i = 0; i < candidates.size(); ++i) {
        if (threads_ > 1) std::this_thread::sleep_for(std::chrono::milliseconds(15));
        candidates[i]();
        const double start = seconds(threads_);
        for (int repeat = 0; repeat < repeats; ++repeat) candidates[i]();
        time[i] = (seconds(threads_) - start) / repeats;
        best[i] = std::min(best[i], time[i]);
      }
      ratios.push_back(*std::min_element(time.begin(), time.end() - 1) / time.back());
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf("%-34s", label);
    for (const double time : best) std::printf("%10.1f", flop / time / 1e9);
    std::printf("%9.2f  [%.2f-%.2f]\n", ratios[ratios.size() / 2], ratios.front(), ratios.back());
    std::fflush(stdout);
  }

 private:
  int rounds_, threads_;
};

struct Bench {
  Context ctx;
  std::vector<Library> libraries;
  Race race;

  void header(const char* title) const {
    std::printf("\n%-34s", title);
    for (const Library& library : libraries) std::printf("%10s", library.name.c_str());
    std::printf("%10s%9s\n", "hadal", "ratio");
  }

  void compare(const char* label, double flop, const std::vector<Product>& products,
               const std::function<void()>& ours) const {
    std::vector<std::function<void()>> candidates;
    for (const Library& library : libraries) {
      candidates.push_back([&] {
        for (const Product& product : products) library.run(product);
      });
    }
    candidates.push_back(ours);
    race.run(label, flop, candidates);
  }

  // y = x w^T, dx = dy w, dw += dy^T x for T rows.
  void dense(int64_t T, int64_t N, int64_t K, bool backward) {
    const std::vector<float> x = values(T * K), w = values(N * K), dy = values(T * N);
    std::vector<float> y(static_cast<size_t>(T * N)), dx(static_cast<size_t>(T * K)),
        dw(static_cast<size_t>(N * K));
    const View<const float, 2> x_view(x.data(), {T, K}), w_view(w.data(), {N, K}),
        dy_view(dy.data(), {T, N});
    const View<float, 2> y_view(y.data(), {T, N}), dx_view(dx.data(), {T, K}),
        dw_view(dw.data(), {N, K});
    const double flop = 2.0 * static_cast<double>(T * N * K);
    char label[64];
    std::snprintf(label, sizeof(label), "%ld x %ld x %ld", T, N, K);
    if (!backward) {
      return compare(label, flop, {{false, true, T, N, K, x.data(), w.data(), y.data(), 0.0F}},
                     [&] { gemm_nt(ctx, y_view, x_view, w_view); });
    }
    compare((std::string("dx ") + label).c_str(), flop,
            {{false, false, T, K, N, dy.data(), w.data(), dx.data(), 0.0F}},
            [&] { gemm_nn(ctx, dx_view, dy_view, w_view); });
    compare((std::string("dw ") + label).c_str(), flop,
            {{true, false, N, K, T, dy.data(), x.data(), dw.data(), 1.0F}},
            [&] { gemm_tn(ctx, dw_view, dy_view, x_view); });
  }

  // E experts of [N,K], T tokens each: one library call per expert.
  void grouped(int64_t E, int64_t T, int64_t N, int64_t K) {
    const std::vector<float> x = values(E * T * K), w = values(E * N * K);
    std::vector<float> y(static_cast<size_t>(E * T * N));
    std::vector<WeightView> weights;
    std::vector<int64_t> offsets{0};
    std::vector<Product> products;
    for (int64_t e = 0; e < E; ++e) {
      weights.emplace_back(View<const float, 2>(w.data() + e * N * K, {N, K}));
      offsets.push_back((e + 1) * T);
      products.push_back({false, true, T, N, K, x.data() + e * T * K, w.data() + e * N * K,
                          y.data() + e * T * N, 0.0F});
    }
    char label[64];
    std::snprintf(label, sizeof(label), "%ld experts x %ld, %ld, %ld", E, T, N, K);
    compare(label, 2.0 * static_cast<double>(E * T * N * K), products, [&] {
      grouped_gemm_nt(ctx, View<float, 2>(y.data(), {E * T, N}),
                      View<const float, 2>(x.data(), {E * T, K}), weights, offsets);
    });
  }
};

void run(int threads, int rounds, const std::string& only) {
  // The libraries read their thread counts when they are loaded.
  for (const char* name : {"OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS"}) {
    setenv(name, std::to_string(threads).c_str(), 1);
  }
  ThreadPool pool(threads);
  Arena arena;
  Bench bench{Context{pool, arena}, open_libraries(), Race(rounds, threads)};
  std::printf("threads %d, instruction set %s\n", threads,
              hwy::TargetName(hwy::SupportedTargets() & -hwy::SupportedTargets()));
  if (only.empty() || only == "grouped") {
    bench.header("experts x tokens, N, K");
    for (const int64_t T : {1, 4, 8, 16, 64}) bench.grouped(16, T, 512, 256);
    for (const int64_t T : {1, 4, 8, 16, 64}) bench.grouped(64, T, 512, 512);
    for (const int64_t T : {1, 4, 8, 16, 64}) bench.grouped(64, T, 1024, 1024);
  }
  if (only.empty() || only == "dense") {
    bench.header("T x N x K, y = x w^T");
    for (const auto& [T, N, K] : std::vector<std::array<int64_t, 3>>{{2048, 128, 256},
                                                                     {2048, 80, 256},
                                                                     {2048, 256, 64},
                                                                     {2048, 256, 128},
                                                                     {2048, 1536, 256},
                                                                     {2048, 256, 768},
                                                                     {512, 256, 256},
                                                                     {512, 4096, 256},
                                                                     {1024, 1024, 512},
                                                                     {2048, 1024, 2048},
                                                                     {1, 2048, 512},
                                                                     {4, 2048, 512},
                                                                     {16, 2048, 512},
                                                                     {17, 2048, 512},
                                                                     {32, 2048, 512},
                                                                     {64, 2048, 512}}) {
      bench.dense(T, N, K, false);
    }
  }
  if (only.empty() || only == "backward") {
    bench.header("T x N x K, backward");
    for (const auto& [T, N, K] : std::vector<std::array<int64_t, 3>>{{2048, 128, 256},
                                                                     {2048, 80, 256},
                                                                     {2048, 256, 128},
                                                                     {2048, 1536, 256},
                                                                     {512, 256, 256},
                                                                     {1024, 512, 512},
                                                                     {1024, 64, 128},
                                                                     {512, 4096, 256}}) {
      bench.dense(T, N, K, true);
    }
  }
}

}  // namespace
}  // namespace hadal

int main(int argc, char** argv) {
  int threads = 1, rounds = 7;
  std::string only;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--threads") threads = std::atoi(value.c_str());
    if (flag == "--rounds") rounds = std::atoi(value.c_str());
    if (flag == "--only") only = value;
    if (flag == "--isa") hwy::SetSupportedTargetsForTest(value == "sse4" ? HWY_SSE4 : HWY_AVX2);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  hadal::run(std::max(threads, 1), std::max(rounds, 1), only);
}
