#include "hadal/ops/grouped_gemm.h"

#include <algorithm>

#include "hadal/kernels/gemm.h"
#include "hadal/ops/check_weight.h"

namespace hadal {
namespace {

// Offsets must ascend from 0 to n_rows, one more of them than groups.
void check_offsets(std::span<const int64_t> offsets, size_t n_groups, int64_t n_rows,
                   const char* what) {
  const bool right_ends =
      offsets.size() == n_groups + 1 && offsets.front() == 0 && offsets.back() == n_rows;
  if (!right_ends || !std::is_sorted(offsets.begin(), offsets.end())) {
    throw ShapeError(concat(what, ": offsets must ascend from 0 to ", n_rows, " in ", n_groups,
                            " groups, got ", offsets.size(), " entries"));
  }
}

// Weights of groups without rows are not looked at.
void check_weights(std::span<const WeightView> w, std::span<const int64_t> offsets, int64_t n,
                   int64_t k, const char* what) {
  for (size_t e = 0; e < w.size(); ++e) {
    if (offsets[e] == offsets[e + 1]) continue;
    const WeightView& weight = w[e];
    check_weight(weight, what);
    if (weight.rows != n || weight.cols != k) {
      throw ShapeError(
          concat(what, ": got [", weight.rows, ",", weight.cols, "], want [", n, ",", k, "]"));
    }
  }
}

}  // namespace

void grouped_gemm_nt(Context& ctx, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets) {
  check_offsets(offsets, w.size(), x.dim(0), "grouped_gemm_nt");
  check_weights(w, offsets, y.dim(1), x.dim(1), "grouped_gemm_nt w");
  expect_shape(y, {x.dim(0), y.dim(1)}, "grouped_gemm_nt y");
  switch (ctx.device) {
    case Device::kReference:
      return reference::grouped_gemm_nt(y, x, w, offsets);
    case Device::kCpu:
      return cpu::grouped_gemm_nt(ctx.pool, y, x, w, offsets);
    case Device::kCuda:
      return cuda::grouped_gemm_nt(y, x, w, offsets);
  }
}

void grouped_gemm_nn(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets, float beta) {
  check_offsets(offsets, w.size(), dy.dim(0), "grouped_gemm_nn");
  check_weights(w, offsets, dy.dim(1), dx.dim(1), "grouped_gemm_nn w");
  expect_shape(dx, {dy.dim(0), dx.dim(1)}, "grouped_gemm_nn dx");
  if (beta != 0.0F && beta != 1.0F) {
    throw ShapeError(concat("grouped_gemm_nn: beta is ", beta, ", want 0 or 1"));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::grouped_gemm_nn(dx, dy, w, offsets, beta);
    case Device::kCpu:
      return cpu::grouped_gemm_nn(ctx.pool, dx, dy, w, offsets, beta);
    case Device::kCuda:
      return cuda::grouped_gemm_nn(dx, dy, w, offsets, beta);
  }
}

void grouped_gemm_tn(Context& ctx, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets) {
  for (const View<float, 2>& dw_e : dw) {
    expect_shape(dw_e, {dy.dim(1), x.dim(1)}, "grouped_gemm_tn dw");
  }
  check_offsets(offsets, dw.size(), x.dim(0), "grouped_gemm_tn");
  expect_shape(dy, {x.dim(0), dy.dim(1)}, "grouped_gemm_tn dy");
  switch (ctx.device) {
    case Device::kReference:
      return reference::grouped_gemm_tn(dw, dy, x, offsets);
    case Device::kCpu:
      return cpu::grouped_gemm_tn(ctx.pool, dw, dy, x, offsets);
    case Device::kCuda:
      return cuda::grouped_gemm_tn(dw, dy, x, offsets);
  }
}

}  // namespace hadal
