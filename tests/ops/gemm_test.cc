#include "hadal/ops/gemm.h"

#include <gtest/gtest.h>

#include <array>

#include "hadal/kernels/gemm.h"
#include "tests/support/compare.h"
#include "tests/support/weights.h"

namespace hadal {
namespace {

using test::elements;
using test::expect_close;
using test::random_values;
using test::StoredWeight;
using test::Tolerance;

// Edges of everything the kernels cut by: vectors, tiles of 6 and 12 rows, panels, the few-rows
// limits of 64 and 32, depth blocks of 256, and extents of 0 and 1.
struct GemmShape {
  int64_t T, N, K;
};
const GemmShape kGemmShapes[] = {
    {0, 5, 7},    {1, 1, 1},    {3, 0, 5},      {4, 7, 0},     {1, 33, 17},    {2, 64, 48},
    {5, 3, 257},  {7, 130, 31}, {16, 31, 100},  {32, 33, 15},  {33, 33, 15},   {64, 30, 40},
    {65, 30, 40}, {17, 1, 300}, {24, 100, 513}, {193, 67, 70}, {40, 1030, 20}, {300, 40, 9}};

// x of width `cols` inside rows that are `gap` wider.
struct Matrix {
  std::vector<float> values;
  View<float, 2> view;
  Matrix(int64_t rows, int64_t cols, uint64_t seed, int64_t gap)
      : values(random_values(rows * (cols + gap) + 1, seed)),
        view(values.data(), {rows, cols}, {cols + gap, 1}) {}
};

// What stands in the gaps.
std::vector<float> between(const Matrix& matrix) {
  Matrix copy = matrix;
  const View<float, 2> rows(copy.values.data(), matrix.view.shape(), matrix.view.strides());
  for (int64_t t = 0; t < rows.dim(0); ++t) std::ranges::fill(rows.row(t), 0.0F);
  return copy.values;
}

void expect_product(const Matrix& got, const Matrix& want, int64_t n_terms,
                    const std::string& what) {
  expect_close(elements(got.view), elements(want.view),
               Tolerance::for_sum(n_terms).in_rows_of(want.view.dim(1)), what);
  EXPECT_EQ(between(got), between(want)) << what << ": what lies between the rows changed";
}

class GemmTest : public testing::Test {
 protected:
  ThreadPool pool_{2};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
  Context reference_{pool_, arena_, Device::kReference};
};

class GemmFormatTest : public GemmTest, public testing::WithParamInterface<DType> {};

TEST_P(GemmFormatTest, CpuAgreesWithReference) {
  for (const auto& [T, N, K] : kGemmShapes) {
    for (const float beta : {0.0F, 1.0F}) {
      for (const int64_t gap : {0, 3}) {
        const StoredWeight w(GetParam(), N, K, 1, gap);
        const Matrix x(T, K, 2, gap), dy(T, N, 3, gap);
        Matrix y(T, N, 4, gap), y_want(T, N, 4, gap);
        gemm_nt(cpu_, y.view, x.view, w.view(), beta);
        gemm_nt(reference_, y_want.view, x.view, w.view(), beta);
        const std::string shape = concat(T, "x", N, "x", K, " beta ", beta, " gap ", gap);
        expect_product(y, y_want, K + 1, "gemm_nt " + shape);
        Matrix dx(T, K, 5, gap), dx_want(T, K, 5, gap);
        gemm_nn(cpu_, dx.view, dy.view, w.view(), beta);
        gemm_nn(reference_, dx_want.view, dy.view, w.view(), beta);
        expect_product(dx, dx_want, N + 1, "gemm_nn " + shape);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Formats, GemmFormatTest,
                         testing::Values(DType::kF32, DType::kBF16, DType::kF16),
                         [](const auto& param) { return std::string(dtype_name(param.param)); });

TEST_F(GemmTest, WeightGradientAgreesWithReferenceAndAccumulates) {
  for (const auto& [T, N, K] : kGemmShapes) {
    const Matrix x(T, K, 2, 2), dy(T, N, 3, 1);
    Matrix dw(N, K, 4, 3), dw_want(N, K, 4, 3);
    gemm_tn(cpu_, dw.view, dy.view, x.view);
    gemm_tn(reference_, dw_want.view, dy.view, x.view);
    expect_product(dw, dw_want, T + 1, concat(T, "x", N, "x", K));
  }
}

// Bitwise: which thread computes a part, and where the parts begin, must not show.
TEST_F(GemmTest, ResultDoesNotDependOnThreads) {
  for (const auto& [T, N, K] : std::vector<GemmShape>{
           {3, 700, 300}, {16, 999, 130}, {250, 130, 300}, {20, 1100, 257}, {600, 90, 70}}) {
    const StoredWeight w(DType::kBF16, N, K, 1);
    const Matrix x(T, K, 2, 0), dy(T, N, 3, 0);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 5, 2}) {
      ThreadPool pool(threads);
      Context ctx{pool, arena_};
      Matrix y(T, N, 4, 0), dx(T, K, 5, 0), dw(N, K, 6, 0);
      gemm_nt(ctx, y.view, x.view, w.view());
      gemm_nn(ctx, dx.view, dy.view, w.view());
      gemm_tn(ctx, dw.view, dy.view, x.view);
      std::vector<float> all = elements(y.view);
      for (const Matrix* part : {&dx, &dw}) {
        const std::vector<float> values = elements(part->view);
        all.insert(all.end(), values.begin(), values.end());
      }
      results.push_back(all);
    }
    for (const auto& result : results) EXPECT_EQ(result, results[0]) << T << "x" << N << "x" << K;
  }
}

// gemm_nn and gemm_tn are the gradients of L = sum(dy * gemm_nt(x, w)): compared with central
// differences in f64. L is linear in each operand, so only rounding (1e-16 / step) remains.
TEST(GemmGradient, MatchesFiniteDifferences) {
  const int64_t T = 4, N = 3, K = 5;
  std::vector<double> x = random_values<double>(T * K, 1), w = random_values<double>(N * K, 2);
  const std::vector<double> dy = random_values<double>(T * N, 3);
  const auto loss = [&] {
    std::vector<double> y(static_cast<size_t>(T * N));
    reference::gemm_nt<double>({y.data(), {T, N}}, {x.data(), {T, K}}, {w.data(), {N, K}}, 0.0);
    double sum = 0.0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const auto differences = [&](std::vector<double>& values) {
    std::vector<double> result;
    for (double& value : values) {
      const double kept = value, step = 1e-3;
      value = kept + step;
      const double above = loss();
      value = kept - step;
      result.push_back((above - loss()) / (2.0 * step));
      value = kept;
    }
    return result;
  };
  std::vector<double> dx(x.size()), dw(w.size(), 0.0);
  reference::gemm_nn<double>({dx.data(), {T, K}}, {dy.data(), {T, N}}, {w.data(), {N, K}}, 0.0);
  reference::gemm_tn<double>({dw.data(), {N, K}}, {dy.data(), {T, N}}, {x.data(), {T, K}});
  const Tolerance tolerance{.element = 1e-11, .frobenius = 1e-11, .cosine = 1e-11};
  expect_close(dx, differences(x), tolerance.in_rows_of(K), "dx");
  expect_close(dw, differences(w), tolerance.in_rows_of(K), "dw");
}

TEST_F(GemmTest, RefusesWrongShapesAndFormats) {
  const StoredWeight w(DType::kF32, 4, 6, 1);
  Matrix x(3, 6, 1, 0), wrong_x(3, 5, 1, 0), y(3, 4, 1, 0), wrong_y(2, 4, 1, 0), dw(4, 6, 1, 0);
  EXPECT_THROW(gemm_nt(cpu_, y.view, wrong_x.view, w.view()), ShapeError);
  EXPECT_THROW(gemm_nt(cpu_, wrong_y.view, x.view, w.view()), ShapeError);
  EXPECT_THROW(gemm_nt(cpu_, y.view, x.view, w.view(), 0.5F), ShapeError);
  EXPECT_THROW(gemm_nn(cpu_, wrong_x.view, y.view, w.view()), ShapeError);
  EXPECT_THROW(gemm_tn(cpu_, dw.view, wrong_y.view, x.view), ShapeError);
  WeightView codes = w.view();
  codes.form = WeightForm::kFp8;  // without scales
  EXPECT_THROW(gemm_nt(cpu_, y.view, x.view, codes), ShapeError);
}

}  // namespace
}  // namespace hadal
