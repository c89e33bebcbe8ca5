// Products of BF16 with BF16: what every instruction set of this machine gives, bit for bit the rule that
// kernels/reference/bf16_sum.h states.
#include "hadal/kernels/cpu/bf16/bf16_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "hadal/kernels/cpu/bf16/amx.h"
#include "hadal/kernels/reference/bf16_sum.h"
#include "hadal/kernels/reference/widen.h"
#include "hadal/ops/grouped_gemm.h"
#include "tests/support/compare.h"
#include "tests/support/weights.h"

#define HWY_WANT_AVX3_DL  // the sets that kernels/cpu/bf16/ is compiled for
#include "hadal/kernels/cpu/simd_targets.h"
#include "hwy/targets.h"

namespace hadal {
namespace {

using test::random_values;
using test::StoredWeight;

// Values of BF16 in rows that are `gap` wider.
struct Matrix {
  std::vector<float> values;
  View<float, 2> view;
  Matrix(int64_t rows, int64_t cols, uint64_t seed, int64_t gap = 3)
      : values(random_values(rows * (cols + gap) + 1, seed)),
        view(values.data(), {rows, cols}, {cols + gap, 1}) {
    for (float& value : values) value = to_float(to_bf16(value));
  }
};

// out[i,j] = beta out[i,j] + sum_k a(i)[k] b(j)[k], by the rule.
using Values = std::function<std::vector<float>(int64_t)>;
void by_the_rule(View<float, 2> out, const Values& a, const Values& b, float beta) {
  for (int64_t i = 0; i < out.dim(0); ++i) {
    const std::vector<float> left = a(i);
    for (int64_t j = 0; j < out.dim(1); ++j) {
      out(i, j) = reference::bf16_dot(left, b(j), beta == 0.0F ? 0.0F : out(i, j));
    }
  }
}
Values rows_of(View<const float, 2> x) {
  return [x](int64_t i) { return std::vector<float>(x.row(i).begin(), x.row(i).end()); };
}
Values columns_of(View<const float, 2> x) {
  return [x](int64_t j) {
    std::vector<float> column;
    for (int64_t k = 0; k < x.dim(0); ++k) column.push_back(x(k, j));
    return column;
  };
}

// The same bits, but for NaN's.
void expect_same(const std::vector<float>& got, const std::vector<float>& want,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(std::bit_cast<uint32_t>(got[i]) == std::bit_cast<uint32_t>(want[i]) ||
                (std::isnan(got[i]) && std::isnan(want[i])))
        << what << ", element " << i << ": " << got[i] << ", want " << want[i];
  }
}

class Bf16Gemm : public testing::Test {
 protected:
  // body(name, whether there are fused multiply-adds): AMX, then without it, then each older set.
  template <class Body>
  void for_each_multiplier(const Body& body) {
    body("the best", true);
    cpu::allow_amx(false);
    body("without AMX", true);
    const int64_t all = hwy::SupportedTargets() & HWY_TARGETS;
    for (int64_t left = all; left != 0; left &= left - 1) {
      hwy::SetSupportedTargetsForTest(left & -left);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      body(std::string(hwy::TargetName(left & -left)), (left & -left) < HWY_SSE4);
    }
    restore();
  }
  void TearDown() override { restore(); }
  static void restore() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    cpu::allow_amx(true);
  }

  // All three products of x, dy and w, added or not, against the rule.
  void expect_rule(const Matrix& x, const Matrix& dy, const WeightView& w, float beta) {
    const int64_t T = x.view.dim(0), N = w.rows, K = w.cols;
    const reference::Widened wide(w);
    const Matrix y(T, N, 4), dx(T, K, 5), dw(N, K, 6);
    Matrix y_want = copy(y), dx_want = copy(dx), dw_want = copy(dw);
    by_the_rule(y_want.view, rows_of(x.view), rows_of(wide.view()), beta);
    by_the_rule(dx_want.view, rows_of(dy.view), columns_of(wide.view()), beta);
    by_the_rule(dw_want.view, columns_of(dy.view), columns_of(x.view), 1.0F);
    for_each_multiplier([&](const std::string& name, bool fused) {
      if (!fused && !normal_) return;
      const std::string what = concat(name, " ", T, "x", N, "x", K, " beta ", beta);
      Matrix got = copy(y);
      gemm_nt(cpu_, std::array{Product{got.view, x.view, w, beta, true}});
      expect_same(got.values, y_want.values, "nt " + what);
      got = copy(dx);
      gemm_nn(cpu_, std::array{Product{got.view, dy.view, w, beta, true}});
      expect_same(got.values, dx_want.values, "nn " + what);
      got = copy(dw);
      gemm_tn(cpu_, std::array{WeightGradient{got.view, dy.view, x.view, true}});
      expect_same(got.values, dw_want.values, "tn " + what);
    });
  }
  static Matrix copy(const Matrix& from) {
    Matrix result(from.view.dim(0), from.view.dim(1), 1);
    result.values = from.values;
    result.view = {result.values.data(), from.view.shape(), from.view.strides()};
    return result;
  }

  bool normal_ = true;  // no product is below 2^-126
  ThreadPool pool_{2};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
};

struct Shape {
  int64_t T, N, K;
};

// Edges of tiles, groups and blocks, the switch between kernels of few rows, and extents of 0 and 1.
TEST_F(Bf16Gemm, EveryInstructionSetFollowsTheRule) {
  for (const auto& [T, N, K] : std::vector<Shape>{{0, 5, 7},
                                                  {1, 1, 1},
                                                  {3, 0, 5},
                                                  {4, 7, 0},
                                                  {4, 33, 31},
                                                  {5, 16, 32},
                                                  {16, 17, 33},
                                                  {31, 64, 48},
                                                  {33, 32, 64},
                                                  {130, 40, 70},
                                                  {5, 520, 20},
                                                  {3, 20, 1050},
                                                  {1030, 18, 9}}) {
    for (const float beta : {0.0F, 1.0F}) {
      expect_rule(Matrix(T, K, 2), Matrix(T, N, 3), StoredWeight(DType::kBF16, N, K, 1, 5).view(),
                  beta);
    }
  }
}

TEST_F(Bf16Gemm, WeightsOfE4M3WithPowersOfTwo) {
  const int64_t T = 37, N = 70, K = 100;
  test::CodedWeight w(WeightForm::kFp8, N, K, 1, kWeightBlocks, 120, 100);
  WeightView view = w.view();
  const std::vector<float> scales{0.5F, 2.0F, 0.25F, 8.0F};
  view.scales.data = scales.data();
  view.scales.row_stride = 2;
  expect_rule(Matrix(T, K, 2), Matrix(T, N, 3), view, 1.0F);
}

// Denormal operands, products and sums count as zeros.
TEST_F(Bf16Gemm, WhatIsBelowNormalNumbersIsZero) {
  normal_ = false;
  const int64_t T = 20, N = 18, K = 40;
  for (const float scale : {0x1p-128F, 0x1p-70F, 0x1p-63F}) {
    Matrix x(T, K, 2), dy(T, N, 3);
    for (Matrix* each : {&x, &dy}) {
      for (float& value : each->values) value = to_float(to_bf16(value * scale));
    }
    const Matrix w(N, K, 1);
    Matrix small(N, K, 1);
    for (float& value : small.values) value = to_float(to_bf16(value * 0x1p-60F));
    expect_rule(x, dy, small.view, 1.0F);
    expect_rule(x, dy, small.view, 0.0F);
  }
}

TEST_F(Bf16Gemm, WhatIsNotFiniteStays) {
  const int64_t T = 20, N = 18, K = 40;
  Matrix x(T, K, 2), dy(T, N, 3), w(N, K, 1);
  x.view(3, 5) = std::numeric_limits<float>::infinity();
  x.view(7, 9) = std::numeric_limits<float>::quiet_NaN();
  dy.view(1, 17) = -std::numeric_limits<float>::infinity();
  w.view(16, 33) = std::numeric_limits<float>::infinity();
  expect_rule(x, dy, w.view, 0.0F);
}

// Experts' products: group sizes of 0 at the start, between and at the end, of single rows, and on both sides of
// the limits of kernels and tiles.
class GroupedBf16Gemm : public Bf16Gemm {
 protected:
  static constexpr int64_t kOut = 150, kIn = 70;
  const std::vector<int64_t> offsets_{0, 0, 1, 5, 5, 37, 70, 134, 199, 199, 330, 331, 331};
  const int64_t rows_ = offsets_.back();
  const size_t n_groups_ = offsets_.size() - 1;

  GroupedBf16Gemm() {
    for (size_t e = 0; e < n_groups_; ++e) {
      stored_.emplace_back(DType::kBF16, kOut, kIn, 100 + e, 2);
      // Nobody looks at the weights of an empty group.
      w_.push_back(n_rows(e) > 0 ? stored_.back().view() : WeightView{});
    }
  }
  int64_t n_rows(size_t e) const { return offsets_[e + 1] - offsets_[e]; }
  template <class T>
  View<T, 2> group(View<T, 2> rows, size_t e) const {
    return rows.rows(offsets_[e], offsets_[e + 1]);
  }

  // y = x W^T, dx += dy W and dW += dy^T x of all groups.
  struct Results {
    Matrix y, dx;
    std::vector<Matrix> dw;
  };
  Results before() const {
    Results r{Matrix(rows_, kOut, 4), Matrix(rows_, kIn, 5), {}};
    for (size_t e = 0; e < n_groups_; ++e) r.dw.emplace_back(kOut, kIn, 200 + e);
    return r;
  }
  Results compute(Context& ctx) {
    Results r = before();
    std::vector<Product> nt, nn;
    append_groups(nt, r.y.view, x_.view, w_, offsets_, 0.0F, /*is_bf16=*/true);
    append_groups(nn, r.dx.view, dy_.view, w_, offsets_, 1.0F, /*is_bf16=*/true);
    std::vector<View<float, 2>> dw;
    for (const Matrix& each : r.dw) dw.push_back(each.view);
    std::vector<WeightGradient> tn;
    append_groups(tn, dw, dy_.view, x_.view, offsets_, /*is_bf16=*/true);
    gemm_nt(ctx, nt);
    gemm_nn(ctx, nn);
    gemm_tn(ctx, tn);
    return r;
  }
  static void expect_same_results(const Results& got, const Results& want,
                                  const std::string& what) {
    expect_same(got.y.values, want.y.values, what + " y");
    expect_same(got.dx.values, want.dx.values, what + " dx");
    for (size_t e = 0; e < want.dw.size(); ++e) {
      expect_same(got.dw[e].values, want.dw[e].values, concat(what, " dw of group ", e));
    }
  }

  const Matrix x_{rows_, kIn, 2}, dy_{rows_, kOut, 3};
  std::vector<StoredWeight> stored_;
  std::vector<WeightView> w_;
};

// Against the sum in F64 of the same BF16 values. The products are exact in F32; what a sum of n of them is
// rounded is 15 additions along a chain of 16, one of the two chains, and one for each group of 32 places, so
//   |error| <= gamma_m (|start| + sum |a b|),  gamma_m = m u / (1 - m u), m = 16 + ceil(n / 32), u = 2^-24.
void expect_within_bound(View<const float, 2> got, View<const float, 2> start, const Values& a,
                         const Values& b, float beta, const std::string& what) {
  for (int64_t i = 0; i < got.dim(0); ++i) {
    const std::vector<float> left = a(i);
    const double m = 16.0 + std::ceil(static_cast<double>(left.size()) / 32.0);
    const double gamma = m * 0x1p-24 / (1.0 - m * 0x1p-24);
    for (int64_t j = 0; j < got.dim(1); ++j) {
      const std::vector<float> right = b(j);
      double sum = beta == 0.0F ? 0.0 : start(i, j), magnitude = std::abs(sum);
      for (size_t k = 0; k < left.size(); ++k) {
        const double product = double{left[k]} * double{right[k]};
        sum += product;
        magnitude += std::abs(product);
      }
      ASSERT_LE(std::abs(got(i, j) - sum), gamma * magnitude) << what << " " << i << ", " << j;
    }
  }
}

TEST_F(GroupedBf16Gemm, AgreesWithF64WithinTheBoundOfItsSums) {
  const Results start = before(), got = compute(cpu_);
  for (size_t e = 0; e < n_groups_; ++e) {
    const std::string what = concat("group ", e, " of ", n_rows(e), " rows");
    if (n_rows(e) == 0) {
      expect_same(got.dw[e].values, start.dw[e].values, "dw of " + what);
      continue;
    }
    const View<const float, 2> x = group<const float>(x_.view, e);
    const View<const float, 2> dy = group<const float>(dy_.view, e);
    const reference::Widened w(w_[e]);
    expect_within_bound(group(got.y.view, e), group(start.y.view, e), rows_of(x), rows_of(w.view()),
                        0.0F, "y of " + what);
    expect_within_bound(group(got.dx.view, e), group(start.dx.view, e), rows_of(dy),
                        columns_of(w.view()), 1.0F, "dx of " + what);
    expect_within_bound(got.dw[e].view, start.dw[e].view, columns_of(dy), columns_of(x), 1.0F,
                        "dw of " + what);
  }
}

TEST_F(GroupedBf16Gemm, EveryInstructionSetAndNumberOfThreadsGivesTheSameBits) {
  const Results want = compute(cpu_);
  for_each_multiplier([&](const std::string& name, bool) {
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      Context ctx{pool, arena_};
      expect_same_results(compute(ctx), want, concat(name, ", ", threads, " threads"));
    }
  });
}

// A group is the product of its rows alone.
TEST_F(GroupedBf16Gemm, IsOneProductAfterAnother) {
  Results one_by_one = before();
  for (size_t e = 0; e < n_groups_; ++e) {
    if (n_rows(e) == 0) continue;
    const View<const float, 2> x = group<const float>(x_.view, e);
    const View<const float, 2> dy = group<const float>(dy_.view, e);
    gemm_nt(cpu_, std::array{Product{group(one_by_one.y.view, e), x, w_[e], 0.0F, true}});
    gemm_nn(cpu_, std::array{Product{group(one_by_one.dx.view, e), dy, w_[e], 1.0F, true}});
    gemm_tn(cpu_, std::array{WeightGradient{one_by_one.dw[e].view, dy, x, true}});
  }
  expect_same_results(compute(cpu_), one_by_one, "in groups");
}

// The rule itself, worked out by hand: 2^24 + 1 is lost in a chain, and not across the two.
TEST(Bf16Sum, EvenAndOddAreChainsOfTheirOwn) {
  const std::vector<float> one(4, 1.0F), big{0x1p24F, 1.0F, 1.0F, 1.0F};
  // even: 2^24 + 1 = 2^24; odd: 1 + 1; together 2^24 + 2.
  EXPECT_EQ(reference::bf16_dot(big, one, 0.0F), 0x1p24F + 2.0F);
  // A group is complete before it meets the others.
  std::vector<float> groups(64, 0.0F), ones(64, 1.0F);
  groups[0] = 0x1p24F;
  groups[32] = groups[33] = 1.0F;
  EXPECT_EQ(reference::bf16_dot(groups, ones, 0.0F), 0x1p24F + 2.0F);
}

}  // namespace
}  // namespace hadal
