// kernels/gemm_fp8.h: the backends of ops/gemm_fp8.h; tiles and formulas there.
#pragma once

#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/dtype.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {

void gemm_fp8_nt(View<float, 2> y, View<const f8e4m3, 2> x, View<const float, 2> x_scales,
                 View<const f8e4m3, 2> w, View<const float, 2> w_scales) noexcept;
void gemm_fp8_nn(View<float, 2> dx, View<const f8e4m3, 2> dy, View<const float, 2> dy_scales,
                 View<const f8e4m3, 2> w, View<const float, 2> w_scales) noexcept;
void gemm_fp8_tn(View<float, 2> dw, View<const f8e4m3, 2> dy, View<const float, 2> dy_scales,
                 View<const f8e4m3, 2> x, View<const float, 2> x_scales) noexcept;

}  // namespace hadal::reference

namespace hadal::cuda {

void gemm_fp8_nt(Stream& stream, View<float, 2> y, View<const f8e4m3, 2> x,
                 View<const float, 2> x_scales, View<const f8e4m3, 2> w,
                 View<const float, 2> w_scales);
void gemm_fp8_nn(Stream& stream, View<float, 2> dx, View<const f8e4m3, 2> dy,
                 View<const float, 2> dy_scales, View<const f8e4m3, 2> w,
                 View<const float, 2> w_scales);
void gemm_fp8_tn(Stream& stream, View<float, 2> dw, View<const f8e4m3, 2> dy,
                 View<const float, 2> dy_scales, View<const f8e4m3, 2> x,
                 View<const float, 2> x_scales);

}  // namespace hadal::cuda
