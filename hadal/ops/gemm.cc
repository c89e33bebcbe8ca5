#include "hadal/ops/gemm.h"

#include <array>

#include "hadal/kernels/gemm.h"
#include "hadal/kernels/reference/round_input.h"
#include "hadal/kernels/reference/widen.h"
#include "hadal/ops/check_weight.h"

namespace hadal {
namespace {

void check_beta(float beta, const char* what) {
  if (beta != 0.0F && beta != 1.0F) {
    throw ShapeError(concat(what, ": beta is ", beta, ", want 0 or 1"));
  }
}

}  // namespace

void gemm_nt(Context& ctx, std::span<const Product> products) {
  for (const auto& [y, x, w, beta, is_bf16] : products) {
    expect_shape(x, {x.dim(0), w.cols}, "gemm_nt x");
    expect_shape(y, {x.dim(0), w.rows}, "gemm_nt y");
    check_weight(w, "gemm_nt w");
    check_int8_blocks(w, "gemm_nt w");
    check_beta(beta, "gemm_nt");
  }
  switch (ctx.device) {
    case Device::kReference:
      for (const auto& [y, x, w, beta, is_bf16] : products) {
        const reference::RoundedInput rounded(x, w.form);
        reference::gemm_nt(y, rounded.view(), reference::Widened(w).view(), beta);
      }
      return;
    case Device::kCpu:
      return cpu::gemm_nt(ctx.pool, products);
    case Device::kCuda:
      return cuda::gemm_nt(*ctx.stream, products);
  }
}

void gemm_nn(Context& ctx, std::span<const Product> products) {
  for (const auto& [dx, dy, w, beta, is_bf16] : products) {
    expect_shape(dy, {dy.dim(0), w.rows}, "gemm_nn dy");
    expect_shape(dx, {dy.dim(0), w.cols}, "gemm_nn dx");
    check_weight(w, "gemm_nn w");
    check_beta(beta, "gemm_nn");
  }
  switch (ctx.device) {
    case Device::kReference:
      for (const auto& [dx, dy, w, beta, is_bf16] : products) {
        reference::gemm_nn(dx, dy, reference::Widened(w).view(), beta);
      }
      return;
    case Device::kCpu:
      return cpu::gemm_nn(ctx.pool, products);
    case Device::kCuda:
      return cuda::gemm_nn(*ctx.stream, products);
  }
}

void gemm_tn(Context& ctx, std::span<const WeightGradient> products) {
  for (const auto& [dw, dy, x, is_bf16] : products) {
    expect_shape(dy, {x.dim(0), dw.dim(0)}, "gemm_tn dy");
    expect_shape(x, {dy.dim(0), dw.dim(1)}, "gemm_tn x");
  }
  switch (ctx.device) {
    case Device::kReference:
      for (const auto& [dw, dy, x, is_bf16] : products) reference::gemm_tn(dw, dy, x);
      return;
    case Device::kCpu:
      return cpu::gemm_tn(ctx.pool, products);
    case Device::kCuda:
      return cuda::gemm_tn(*ctx.stream, products);
  }
}

void gemm_nt(Context& ctx, View<float, 2> y, View<const float, 2> x, const WeightView& w,
             float beta) {
  gemm_nt(ctx, std::array{Product{y, x, w, beta}});
}

void gemm_nn(Context& ctx, View<float, 2> dx, View<const float, 2> dy, const WeightView& w,
             float beta) {
  gemm_nn(ctx, std::array{Product{dx, dy, w, beta}});
}

void gemm_tn(Context& ctx, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x) {
  gemm_tn(ctx, std::array{WeightGradient{dw, dy, x}});
}

}  // namespace hadal
