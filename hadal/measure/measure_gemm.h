// measure/measure_gemm.h: the matrix products of a MoE model, dense and grouped by expert.
#pragma once

#include <string>
#include <vector>

#include "hadal/measure/measurement.h"
#include "hadal/tensor/context.h"

namespace hadal {

// y[M,N] = x[M,K] W[N,K]^T; with experts > 0 each of them has its own W and M rows.
struct GemmShape {
  int64_t experts = 0, m = 0, n = 0, k = 0;
  // "64x512x512" is M x N x K, "64x4x512x512" is experts x M x N x K. ConfigError otherwise.
  static GemmShape parse(const std::string& text);
  std::string text() const;
};

struct MeasureGemmOptions {
  std::vector<GemmShape> shapes;  // empty: a list of shapes that MoE models meet
  int64_t rounds = 20;
};

// GFLOP/s, best round, held against the multiply-add peak.
MeasureReport measure_gemm(Context& ctx, const MeasureGemmOptions& options);

}  // namespace hadal
