#include "hadal/kernels/gemm_fp8.h"

#include "hadal/kernels/cuda/tile_product.h"
#include "hadal/kernels/cuda/values.h"

namespace hadal::cuda {
namespace {

constexpr int64_t kTile = TileProduct::kTile, kGroup = 128;

// Codes whose inner axis is their columns, or their rows.
struct CodeRows {
  static constexpr bool kAlongInner = true;
  View<const f8e4m3, 2> codes;
  __device__ float operator()(int64_t row, int64_t l, bool inside) const {
    return inside && row < codes.dim(0) ? value_of(codes(row, l)) : 0.0F;
  }
};
struct CodeColumns {
  static constexpr bool kAlongInner = false;
  View<const f8e4m3, 2> codes;
  __device__ float operator()(int64_t column, int64_t l, bool inside) const {
    return inside && column < codes.dim(1) ? value_of(codes(l, column)) : 0.0F;
  }
};

// Scales of a group by the operand's row: one a row and group, one a block and group, or either turned.
struct ByRow {
  View<const float, 2> scales;
  __device__ float operator()(int64_t row, int64_t group) const { return scales(row, group); }
};
struct ByBlock {
  View<const float, 2> scales;
  __device__ float operator()(int64_t row, int64_t group) const {
    return scales(row / kGroup, group);
  }
};
struct ByGroup {
  View<const float, 2> scales;
  __device__ float operator()(int64_t row, int64_t group) const { return scales(group, row); }
};
struct ByGroupAndBlock {
  View<const float, 2> scales;
  __device__ float operator()(int64_t row, int64_t group) const {
    return scales(group, row / kGroup);
  }
};

template <class A, class ScaleA, class B, class ScaleB>
__global__ void __launch_bounds__(TileProduct::kThreads)
    fp8_kernel(View<float, 2> out, A a, ScaleA scale_a, B b, ScaleB scale_b, int64_t inner,
               bool adds) {
  const int64_t i0 = blockIdx.y * kTile, j0 = blockIdx.x * kTile;
  TileProduct total(out.dim(0) - i0, out.dim(1) - j0);
  for (int64_t group = 0; group * kGroup < inner; ++group) {
    TileProduct part(out.dim(0) - i0, out.dim(1) - j0);
    const int64_t end = (group + 1) * kGroup < inner ? (group + 1) * kGroup : inner;
    part.add(a, b, i0, j0, group * kGroup, end);
    total.add_scaled(part, i0, j0, out.dim(0), out.dim(1),
                     [&](int64_t i, int64_t j) { return scale_a(i, group) * scale_b(j, group); });
  }
  total.for_each(i0, j0, out.dim(0), out.dim(1), [&](int64_t i, int64_t j, float sum) {
    out(i, j) = adds ? out(i, j) + sum : sum;
  });
}

template <class A, class ScaleA, class B, class ScaleB>
void run(const char* what, Stream& stream, View<float, 2> out, A a, ScaleA scale_a, B b,
         ScaleB scale_b, int64_t inner, bool adds) {
  const Grid grid{dim3(static_cast<unsigned>(ceil_div(out.dim(1), kTile)),
                       static_cast<unsigned>(ceil_div(out.dim(0), kTile))),
                  TileProduct::kThreads};
  launch(what, fp8_kernel<A, ScaleA, B, ScaleB>, grid, stream, out, a, scale_a, b, scale_b, inner,
         adds);
}

}  // namespace

void gemm_fp8_nt(Stream& stream, View<float, 2> y, View<const f8e4m3, 2> x,
                 View<const float, 2> x_scales, View<const f8e4m3, 2> w,
                 View<const float, 2> w_scales) {
  run("gemm_fp8_nt", stream, y, CodeRows{x}, ByRow{x_scales}, CodeRows{w}, ByBlock{w_scales},
      x.dim(1), false);
}

void gemm_fp8_nn(Stream& stream, View<float, 2> dx, View<const f8e4m3, 2> dy,
                 View<const float, 2> dy_scales, View<const f8e4m3, 2> w,
                 View<const float, 2> w_scales) {
  run("gemm_fp8_nn", stream, dx, CodeRows{dy}, ByRow{dy_scales}, CodeColumns{w},
      ByGroupAndBlock{w_scales}, dy.dim(1), false);
}

void gemm_fp8_tn(Stream& stream, View<float, 2> dw, View<const f8e4m3, 2> dy,
                 View<const float, 2> dy_scales, View<const f8e4m3, 2> x,
                 View<const float, 2> x_scales) {
  run("gemm_fp8_tn", stream, dw, CodeColumns{dy}, ByGroup{dy_scales}, CodeColumns{x},
      ByGroup{x_scales}, x.dim(0), true);
}

}  // namespace hadal::cuda
