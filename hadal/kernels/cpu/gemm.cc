#include "hadal/kernels/cpu/gemm.h"

#include <cblas.h>

#include "hadal/kernels/reference/widen.h"

namespace hadal::cpu {
namespace {

int as_int(int64_t value) { return static_cast<int>(value); }

}  // namespace

void gemm_nt(ThreadPool&, View<float, 2> y, View<const float, 2> x, const WeightView& weight,
             float beta) {
  if (y.size() == 0) return;
  openblas_set_num_threads(1);
  const reference::Widened widened(weight);
  const View<const float, 2> w = widened.view();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(y.dim(0)), as_int(y.dim(1)),
              as_int(x.dim(1)), 1.0F, x.data(), as_int(x.stride(0)), w.data(), as_int(w.stride(0)),
              beta, y.data(), as_int(y.stride(0)));
}

void gemm_nn(ThreadPool&, View<float, 2> dx, View<const float, 2> dy, const WeightView& weight,
             float beta) {
  if (dx.size() == 0) return;
  openblas_set_num_threads(1);
  const reference::Widened widened(weight);
  const View<const float, 2> w = widened.view();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, as_int(dx.dim(0)), as_int(dx.dim(1)),
              as_int(dy.dim(1)), 1.0F, dy.data(), as_int(dy.stride(0)), w.data(),
              as_int(w.stride(0)), beta, dx.data(), as_int(dx.stride(0)));
}

void gemm_tn(ThreadPool&, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x) {
  if (dw.size() == 0 || x.dim(0) == 0) return;
  openblas_set_num_threads(1);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_int(dw.dim(0)), as_int(dw.dim(1)),
              as_int(x.dim(0)), 1.0F, dy.data(), as_int(dy.stride(0)), x.data(),
              as_int(x.stride(0)), 1.0F, dw.data(), as_int(dw.stride(0)));
}

void grouped_gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets) {
  for (size_t e = 0; e < w.size(); ++e) {
    gemm_nt(pool, y.rows(offsets[e], offsets[e + 1]), x.rows(offsets[e], offsets[e + 1]), w[e],
            0.0F);
  }
}

void grouped_gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets, float beta) {
  for (size_t e = 0; e < w.size(); ++e) {
    gemm_nn(pool, dx.rows(offsets[e], offsets[e + 1]), dy.rows(offsets[e], offsets[e + 1]), w[e],
            beta);
  }
}

void grouped_gemm_tn(ThreadPool& pool, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets) {
  for (size_t e = 0; e < dw.size(); ++e) {
    gemm_tn(pool, dw[e], dy.rows(offsets[e], offsets[e + 1]), x.rows(offsets[e], offsets[e + 1]));
  }
}

}  // namespace hadal::cpu
