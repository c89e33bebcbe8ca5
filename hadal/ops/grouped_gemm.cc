#include "hadal/ops/grouped_gemm.h"

#include <algorithm>

namespace hadal {
namespace {

// Offsets must ascend from 0 to n_rows, one more of them than groups.
void check_offsets(std::span<const int64_t> offsets, size_t n_groups, int64_t n_rows) {
  const bool right_ends =
      offsets.size() == n_groups + 1 && offsets.front() == 0 && offsets.back() == n_rows;
  if (!right_ends || !std::is_sorted(offsets.begin(), offsets.end())) {
    throw ShapeError(concat("grouped_gemm: offsets must ascend from 0 to ", n_rows, " in ",
                            n_groups, " groups, got ", offsets.size(), " entries"));
  }
}

}  // namespace

void append_groups(std::vector<Product>& products, View<float, 2> out, View<const float, 2> in,
                   std::span<const WeightView> w, std::span<const int64_t> offsets, float beta,
                   bool is_bf16) {
  check_offsets(offsets, w.size(), in.dim(0));
  expect_shape(out, {in.dim(0), out.dim(1)}, "grouped_gemm out");
  for (size_t e = 0; e < w.size(); ++e) {
    if (offsets[e] == offsets[e + 1]) continue;
    products.push_back({out.rows(offsets[e], offsets[e + 1]), in.rows(offsets[e], offsets[e + 1]),
                        w[e], beta, is_bf16});
  }
}

void append_groups(std::vector<WeightGradient>& products, std::span<const View<float, 2>> dw,
                   View<const float, 2> dy, View<const float, 2> x,
                   std::span<const int64_t> offsets, bool is_bf16) {
  check_offsets(offsets, dw.size(), x.dim(0));
  expect_shape(dy, {x.dim(0), dy.dim(1)}, "grouped_gemm dy");
  for (size_t e = 0; e < dw.size(); ++e) {
    if (offsets[e] == offsets[e + 1]) continue;
    products.push_back(
        {dw[e], dy.rows(offsets[e], offsets[e + 1]), x.rows(offsets[e], offsets[e + 1]), is_bf16});
  }
}

void grouped_gemm_nt(Context& ctx, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets) {
  std::vector<Product> products;
  append_groups(products, y, x, w, offsets);
  gemm_nt(ctx, products);
}

void grouped_gemm_nn(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets, float beta) {
  std::vector<Product> products;
  append_groups(products, dx, dy, w, offsets, beta);
  gemm_nn(ctx, products);
}

void grouped_gemm_tn(Context& ctx, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets) {
  std::vector<WeightGradient> products;
  append_groups(products, dw, dy, x, offsets);
  gemm_tn(ctx, products);
}

}  // namespace hadal
