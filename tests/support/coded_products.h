// support/coded_products.h: what products with coded weights are, from their definition (ops/gemm.h): each
// with the bits that it must have on the CPU.
#pragma once

#include <vector>

#include "hadal/tensor/context.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::test {

// x w^T and dy w; [T, N] and [T, K]. Products of F32 are taken for granted.
std::vector<float> expected_nt(Context& ctx, View<const float, 2> x, const WeightView& w);
std::vector<float> expected_nn(Context& ctx, View<const float, 2> dy, const WeightView& w);

}  // namespace hadal::test
