#include "hadal/ops/gemm_fp8.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/gemm_fp8.h"

namespace hadal {
namespace {

int64_t groups(int64_t n) { return ceil_div(n, kFp8Tile); }

void expect_row_tiles(const Fp8Operand& x, const char* what) {
  expect_shape(x.scales, {x.codes.dim(0), groups(x.codes.dim(1))}, what);
}
void expect_column_tiles(const Fp8Operand& x, const char* what) {
  expect_shape(x.scales, {groups(x.codes.dim(0)), x.codes.dim(1)}, what);
}
void expect_blocks(const Fp8Operand& w, const char* what) {
  expect_shape(w.scales, {groups(w.codes.dim(0)), groups(w.codes.dim(1))}, what);
}

}  // namespace

// The plain loops serve both CPU devices: a fast kernel belongs to FP8 training.
void gemm_fp8_nt(Context& ctx, View<float, 2> y, const Fp8Operand& x, const Fp8Operand& w) {
  expect_shape(x.codes, {y.dim(0), w.codes.dim(1)}, "gemm_fp8_nt x");
  expect_shape(y, {x.codes.dim(0), w.codes.dim(0)}, "gemm_fp8_nt y");
  expect_row_tiles(x, "gemm_fp8_nt x scales");
  expect_blocks(w, "gemm_fp8_nt w scales");
  switch (ctx.device) {
    case Device::kReference:
    case Device::kCpu:
      return reference::gemm_fp8_nt(y, x.codes, x.scales, w.codes, w.scales);
    case Device::kCuda:
      return cuda::gemm_fp8_nt(*ctx.stream, y, x.codes, x.scales, w.codes, w.scales);
  }
}

void gemm_fp8_nn(Context& ctx, View<float, 2> dx, const Fp8Operand& dy, const Fp8Operand& w) {
  expect_shape(dy.codes, {dx.dim(0), w.codes.dim(0)}, "gemm_fp8_nn dy");
  expect_shape(dx, {dy.codes.dim(0), w.codes.dim(1)}, "gemm_fp8_nn dx");
  expect_row_tiles(dy, "gemm_fp8_nn dy scales");
  expect_blocks(w, "gemm_fp8_nn w scales");
  switch (ctx.device) {
    case Device::kReference:
    case Device::kCpu:
      return reference::gemm_fp8_nn(dx, dy.codes, dy.scales, w.codes, w.scales);
    case Device::kCuda:
      return cuda::gemm_fp8_nn(*ctx.stream, dx, dy.codes, dy.scales, w.codes, w.scales);
  }
}

void gemm_fp8_tn(Context& ctx, View<float, 2> dw, const Fp8Operand& dy, const Fp8Operand& x) {
  expect_shape(dy.codes, {x.codes.dim(0), dw.dim(0)}, "gemm_fp8_tn dy");
  expect_shape(x.codes, {dy.codes.dim(0), dw.dim(1)}, "gemm_fp8_tn x");
  expect_column_tiles(dy, "gemm_fp8_tn dy scales");
  expect_column_tiles(x, "gemm_fp8_tn x scales");
  switch (ctx.device) {
    case Device::kReference:
    case Device::kCpu:
      return reference::gemm_fp8_tn(dw, dy.codes, dy.scales, x.codes, x.scales);
    case Device::kCuda:
      return cuda::gemm_fp8_tn(*ctx.stream, dw, dy.codes, dy.scales, x.codes, x.scales);
  }
}

}  // namespace hadal
