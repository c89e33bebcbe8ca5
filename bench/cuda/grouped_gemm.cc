// Grouped products on the card: TFLOP/s of each tile at DeepSeek-V3's shapes, beside what one H100 reached
// through PyTorch 2.11 and cuBLAS 13.0 (FP8: scales by row for groups, by block for single products), and for
// decoding the rate at which the weights are read. Prints one table; about five seconds.
//
//   grouped_gemm_bench [substring of the rows to run]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "bench/cuda/event_times.h"
#include "hadal/core/rng.h"
#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/grouped_gemm.h"

namespace hadal {
namespace {

using cuda::check;
using cuda::GroupedGemmTile;

constexpr double kFp8Roof = 1979, kBf16Roof = 989;  // TFLOP/s, NVIDIA's figures for H100 SXM

// Device memory filled with one random pattern again and again; the pattern is no multiple of a row.
template <class T>
class Operand {
 public:
  Operand(int64_t size, const std::vector<T>& pattern) {
    check(cudaMalloc(&data_, static_cast<size_t>(size) * sizeof(T)), "bench operand");
    const int64_t period = std::min(size, static_cast<int64_t>(pattern.size()));
    for (int64_t at = 0; at < size; at += period) {
      const auto bytes = static_cast<size_t>(std::min(size - at, period)) * sizeof(T);
      if (at == 0)
        check(cudaMemcpy(get(), pattern.data(), bytes, cudaMemcpyHostToDevice), "operand");
      else
        check(cudaMemcpy(get() + at, get(), bytes, cudaMemcpyDeviceToDevice), "operand");
    }
  }
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;
  ~Operand() { cudaFree(data_); }
  T* get() const { return static_cast<T*>(data_); }

 private:
  void* data_ = nullptr;
};

struct Patterns {
  std::vector<f8e4m3> codes;
  std::vector<bf16> values;
  std::vector<float> scales;
  Patterns() {
    Rng rng(1);
    for (int i = 0; i < 4'000'037; ++i) {
      const auto normal = static_cast<float>(rng.normal());
      codes.push_back(to_f8e4m3(normal * 112.0F));  // an amax of four standard deviations is 448
      values.push_back(to_bf16(normal));
      if (i < 100'003) scales.push_back(0x1p-7F);
    }
  }
};

template <class Call>
double median_ms(const Call& call) {
  return 1e3 * median_seconds(nullptr, 3, 10, [&](int) { call(); });
}

struct Shape {
  const char* name;
  int groups;
  int64_t rows, n, k;  // rows of a group
  double fp8_peer, bf16_peer;
  bool masked = false;
};

const std::vector<Shape> kShapes = {
    {"8 x 4096, 4096, 7168", 8, 4096, 4096, 7168, 1177, 736},
    {"8 x 4096, 7168, 2048", 8, 4096, 7168, 2048, 1000, 666},
    {"32 x 256, 4096, 7168", 32, 256, 4096, 7168, 549, 561},
    {"32 x 256, 7168, 2048", 32, 256, 7168, 2048, 470, 489},
    {"32 x 512, 288, 512", 32, 512, 288, 512, 89, 89},
    {"64 x 64, 4096, 7168", 64, 64, 4096, 7168, 325, 167, true},
    {"1 x 4096, 2112, 7168", 1, 4096, 2112, 7168, 779, 632},
    {"1 x 4096, 24576, 1536", 1, 4096, 24576, 1536, 954, 713},
    {"1 x 4096, 7168, 16384", 1, 4096, 7168, 16384, 1197, 806},
    {"1 x 4096, 4096, 7168", 1, 4096, 4096, 7168, 1034, 683},
    {"1 x 4096, 7168, 2048", 1, 4096, 7168, 2048, 804, 560},
    {"1 x 128, 4096, 7168", 1, 128, 4096, 7168, 121, 164},
    {"1 x 128, 7168, 2048", 1, 128, 7168, 2048, 69, 93},
};

constexpr struct {
  const char* name;
  GroupedGemmTile tile;
} kTiles[] = {{"auto", GroupedGemmTile::kAuto},
              {"64x256", GroupedGemmTile::k64x256},
              {"128x128", GroupedGemmTile::k128x128},
              {"256x128", GroupedGemmTile::k256x128}};

std::vector<int> offsets_of(int groups, int64_t rows) {
  std::vector<int> offsets;
  for (int g = 0; g <= groups; ++g) offsets.push_back(static_cast<int>(g * rows));
  return offsets;
}

cuda::RowGroups groups_of(const Shape& s, const int* offsets, const int* counts) {
  cuda::RowGroups groups;
  groups.groups = s.groups;
  groups.rows = s.masked ? s.rows : s.groups * s.rows;
  (s.masked ? groups.counts : groups.offsets) = s.masked ? counts : offsets;
  return groups;
}

void rows_by_group(const Shape& s, const Patterns& patterns) {
  const int64_t all = s.groups * s.rows, blocks = (s.k + 127) / 128,
                column_blocks = (s.n + 127) / 128;
  const Operand<int> offsets(s.groups + 1, offsets_of(s.groups, s.rows));
  const Operand<int> counts(s.groups, {static_cast<int>(s.rows)});
  const Operand<bf16> y(all * s.n, patterns.values);
  const double flops = 2.0 * static_cast<double>(all * s.n) * static_cast<double>(s.k);
  const auto weights = static_cast<double>(s.groups * s.n * s.k);
  double fp8[4], kn[4], bf[4];
  {
    const Operand<f8e4m3> a(all * s.k, patterns.codes), b(s.groups * s.n * s.k, patterns.codes);
    const Operand<float> sa(blocks * all, patterns.scales),
        sb(s.groups * column_blocks * blocks, patterns.scales);
    cuda::GroupedGemmFp8 p;
    p.rows = groups_of(s, offsets.get(), counts.get());
    p.n = s.n;
    p.k = s.k;
    p.a = a.get();
    p.a_stride = p.b_stride = s.k;
    p.a_scales = sa.get();
    p.a_scale_stride = all;
    p.b = b.get();
    p.b_scales = sb.get();
    p.b_scale_stride = blocks;
    p.y = cuda::GroupedResult(y.get(), s.n);
    for (int tile = 0; tile < 4; ++tile) {
      p.tile = kTiles[tile].tile;
      fp8[tile] = median_ms([&] { cuda::multiply(p, nullptr); });
    }
  }
  const Operand<bf16> a(all * s.k, patterns.values), b(s.groups * s.n * s.k, patterns.values);
  cuda::GroupedGemmBf16 p;
  p.rows = groups_of(s, offsets.get(), counts.get());
  p.n = s.n;
  p.k = s.k;
  p.a = a.get();
  p.a_stride = s.k;
  p.b = b.get();
  p.y = cuda::GroupedResult(y.get(), s.n);
  for (int tile = 0; tile < 4; ++tile) {
    p.tile = kTiles[tile].tile;
    p.b_is_kn = false;
    p.b_stride = s.k;
    bf[tile] = median_ms([&] { cuda::multiply(p, nullptr); });
    p.b_is_kn = true;
    p.b_stride = s.n;
    kn[tile] = median_ms([&] { cuda::multiply(p, nullptr); });
  }
  for (int tile = 0; tile < 4; ++tile) {
    std::printf("%-24s %-8s %6.0f %4.0f %6.0f %6.2f %6.0f %4.0f %6.0f %6.2f %6.0f\n", s.name,
                kTiles[tile].name, flops / fp8[tile] * 1e-9, flops / fp8[tile] * 1e-7 / kFp8Roof,
                s.fp8_peer, weights / fp8[tile] * 1e-9, flops / bf[tile] * 1e-9,
                flops / bf[tile] * 1e-7 / kBf16Roof, s.bf16_peer, 2 * weights / bf[tile] * 1e-9,
                flops / kn[tile] * 1e-9);
  }
}

void weight_gradient(int groups, int64_t group_tokens, int64_t n, int64_t k,
                     const Patterns& patterns) {
  const int64_t tokens = groups * group_tokens;
  const Operand<int> offsets(groups + 1, offsets_of(groups, group_tokens));
  const Operand<float> dw(groups * n * k, patterns.scales);
  const double flops = 2.0 * static_cast<double>(tokens * n) * static_cast<double>(k);
  double fp8 = 0;
  {
    const Operand<f8e4m3> dyt(n * tokens, patterns.codes), xt(k * tokens, patterns.codes);
    const Operand<float> sdy(tokens / 128 * n, patterns.scales),
        sx(tokens / 128 * k, patterns.scales);
    cuda::GroupedWeightGradientFp8 p;
    p.groups = groups;
    p.offsets = offsets.get();
    p.tokens = p.dyt_stride = p.xt_stride = tokens;
    p.n = p.dyt_scale_stride = n;
    p.k = p.xt_scale_stride = k;
    p.dyt = dyt.get();
    p.dyt_scales = sdy.get();
    p.xt = xt.get();
    p.xt_scales = sx.get();
    p.dw = dw.get();
    fp8 = median_ms([&] { cuda::multiply(p, nullptr); });
  }
  const Operand<bf16> dy(tokens * n, patterns.values), x(tokens * k, patterns.values);
  cuda::GroupedWeightGradientBf16 p;
  p.groups = groups;
  p.offsets = offsets.get();
  p.tokens = tokens;
  p.n = p.dy_stride = n;
  p.k = p.x_stride = k;
  p.dy = dy.get();
  p.x = x.get();
  p.dw = dw.get();
  const double bf = median_ms([&] { cuda::multiply(p, nullptr); });
  const std::string name = std::to_string(groups) + " x " + std::to_string(group_tokens) + ", " +
                           std::to_string(n) + ", " + std::to_string(k);
  std::printf("%-24s %-8s %6.0f %4.0f %6s %6s %6.0f %4.0f\n", name.c_str(),
              "dw +=", flops / fp8 * 1e-9, flops / fp8 * 1e-7 / kFp8Roof,
              n == 2048 && k == 7168 ? "457" : "", "", flops / bf * 1e-9,
              flops / bf * 1e-7 / kBf16Roof);
}

int run(const std::string& which) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    std::puts("no card here");
    return 1;
  }
  const Patterns patterns;
  std::printf("%-24s %-8s %6s %4s %6s %6s %6s %4s %6s %6s %6s\n", "groups x rows, n, k", "tile",
              "FP8", "%", "peer", "TB/s", "BF16", "%", "peer", "TB/s", "b: kn");
  for (const Shape& shape : kShapes) {
    if (std::string(shape.name).find(which) != std::string::npos) rows_by_group(shape, patterns);
  }
  if (std::string("dw").find(which) != std::string::npos) {
    weight_gradient(8, 4096, 2048, 7168, patterns);
    weight_gradient(8, 4096, 7168, 2048, patterns);
    weight_gradient(32, 256, 4096, 7168, patterns);
    weight_gradient(32, 512, 288, 512, patterns);
  }
  return 0;
}

}  // namespace
}  // namespace hadal

int main(int n, char** arguments) {
  try {
    return hadal::run(n > 1 ? arguments[1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
