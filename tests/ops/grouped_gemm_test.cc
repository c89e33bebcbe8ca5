#include "hadal/ops/grouped_gemm.h"

#include <gtest/gtest.h>

#include "hadal/ops/gemm.h"
#include "tests/support/compare.h"
#include "tests/support/weights.h"

namespace hadal {
namespace {

using test::expect_close;
using test::random_values;
using test::StoredWeight;
using test::Tolerance;

// 150 outputs: groups of many rows and of few are cut into several tasks. Group sizes: empty ones
// at the start, between and at the end, single rows, on both sides of the few-rows limits of 32 and
// 64, and one that is cut into several tasks.
const std::vector<int64_t> kOffsets{0, 0, 1, 5, 5, 37, 70, 134, 199, 801, 802, 802};
constexpr int64_t kRows = 802, kOut = 150, kIn = 70;

class GroupedGemmTest : public testing::TestWithParam<DType> {
 protected:
  GroupedGemmTest() {
    for (size_t e = 0; e + 1 < kOffsets.size(); ++e) {
      weights_.emplace_back(GetParam(), kOut, kIn, 100 + e, 2);
      views_.push_back(weights_.back().view());
    }
  }
  ThreadPool pool_{2};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
  Context reference_{pool_, arena_, Device::kReference};
  std::vector<StoredWeight> weights_;
  std::vector<WeightView> views_;
  // Rows wider than the operands: they are slices of columns.
  std::vector<float> x_ = random_values(kRows * (kIn + 1), 1), dy_ = random_values(kRows * kOut, 2);
  const View<const float, 2> x_view_{x_.data(), {kRows, kIn}, {kIn + 1, 1}};
  const View<const float, 2> dy_view_{dy_.data(), {kRows, kOut}};
};

TEST_P(GroupedGemmTest, ForwardAgreesWithReference) {
  std::vector<float> y(kRows * kOut, 7.0F), want = y;
  grouped_gemm_nt(cpu_, {y.data(), {kRows, kOut}}, x_view_, views_, kOffsets);
  grouped_gemm_nt(reference_, {want.data(), {kRows, kOut}}, x_view_, views_, kOffsets);
  expect_close(y, want, Tolerance::for_sum(kIn).in_rows_of(kOut), "y");
}

TEST_P(GroupedGemmTest, BackwardInputAgreesWithReference) {
  for (const float beta : {0.0F, 1.0F}) {
    std::vector<float> dx = random_values(kRows * kIn, 3), want = dx;
    grouped_gemm_nn(cpu_, {dx.data(), {kRows, kIn}}, dy_view_, views_, kOffsets, beta);
    grouped_gemm_nn(reference_, {want.data(), {kRows, kIn}}, dy_view_, views_, kOffsets, beta);
    expect_close(dx, want, Tolerance::for_sum(kOut + 1).in_rows_of(kIn), concat("dx, beta ", beta));
  }
}
INSTANTIATE_TEST_SUITE_P(Formats, GroupedGemmTest,
                         testing::Values(DType::kF32, DType::kBF16, DType::kF16),
                         [](const auto& param) { return std::string(dtype_name(param.param)); });

// Gradients of all groups, one after another in memory.
struct Gradients {
  std::vector<float> values =
      random_values((static_cast<int64_t>(kOffsets.size()) - 1) * kOut * kIn, 4);
  std::vector<View<float, 2>> views() {
    std::vector<View<float, 2>> result;
    for (size_t e = 0; e + 1 < kOffsets.size(); ++e) {
      result.emplace_back(values.data() + e * kOut * kIn, View<float, 2>::Shape{kOut, kIn});
    }
    return result;
  }
};

TEST_P(GroupedGemmTest, BackwardWeightAgreesWithReferenceAndAccumulates) {
  Gradients dw, want;
  grouped_gemm_tn(cpu_, dw.views(), dy_view_, x_view_, kOffsets);
  grouped_gemm_tn(reference_, want.views(), dy_view_, x_view_, kOffsets);
  expect_close(dw.values, want.values, Tolerance::for_sum(603).in_rows_of(kIn), "dw");
}

// Gradients so tall that each is cut into several tasks.
TEST(GroupedGemmTall, BackwardWeightAgreesWithReference) {
  const int64_t n_out = 1100, n_in = 9;
  const std::vector<int64_t> offsets{0, 20, 23};
  ThreadPool pool(2);
  Arena arena;
  Context cpu{pool, arena, Device::kCpu}, reference{pool, arena, Device::kReference};
  const std::vector<float> x = random_values(23 * n_in, 1), dy = random_values(23 * n_out, 2);
  const auto run = [&](Context& ctx) {
    std::vector<float> dw = random_values(2 * n_out * n_in, 3);
    const std::vector<View<float, 2>> views{{dw.data(), {n_out, n_in}},
                                            {dw.data() + n_out * n_in, {n_out, n_in}}};
    grouped_gemm_tn(ctx, views, {dy.data(), {23, n_out}}, {x.data(), {23, n_in}}, offsets);
    return dw;
  };
  expect_close(run(cpu), run(reference), Tolerance::for_sum(21).in_rows_of(n_in), "dw");
}

// A group's product is the dense one of its rows, and neither threads nor repetition change a bit.
TEST_P(GroupedGemmTest, EqualsDenseProductsForAnyThreadCount) {
  std::vector<float> dense(kRows * kOut);
  const View<float, 2> dense_view(dense.data(), {kRows, kOut});
  for (size_t e = 0; e < views_.size(); ++e) {
    gemm_nt(cpu_, dense_view.rows(kOffsets[e], kOffsets[e + 1]),
            x_view_.rows(kOffsets[e], kOffsets[e + 1]), views_[e]);
  }
  for (const int threads : {1, 2, 3, 2}) {
    ThreadPool pool(threads);
    Context ctx{pool, arena_};
    std::vector<float> y(kRows * kOut);
    grouped_gemm_nt(ctx, {y.data(), {kRows, kOut}}, x_view_, views_, kOffsets);
    EXPECT_EQ(y, dense) << threads << " threads";
    Gradients dw, dw_single;
    ThreadPool single(1);
    Context single_ctx{single, arena_};
    grouped_gemm_tn(ctx, dw.views(), dy_view_, x_view_, kOffsets);
    grouped_gemm_tn(single_ctx, dw_single.views(), dy_view_, x_view_, kOffsets);
    EXPECT_EQ(dw.values, dw_single.values) << threads << " threads";
  }
}

TEST_P(GroupedGemmTest, RefusesOffsetsThatDoNotFit) {
  std::vector<float> y(kRows * kOut);
  const View<float, 2> y_view(y.data(), {kRows, kOut});
  std::vector<int64_t> offsets = kOffsets;
  offsets.back() = kRows - 1;
  EXPECT_THROW(grouped_gemm_nt(cpu_, y_view, x_view_, views_, offsets), ShapeError);
  offsets = kOffsets;
  std::swap(offsets[3], offsets[5]);
  EXPECT_THROW(grouped_gemm_nt(cpu_, y_view, x_view_, views_, offsets), ShapeError);
  offsets.pop_back();
  EXPECT_THROW(grouped_gemm_nt(cpu_, y_view, x_view_, views_, offsets), ShapeError);
  views_[2].cols -= 1;
  EXPECT_THROW(grouped_gemm_nt(cpu_, y_view, x_view_, views_, kOffsets), ShapeError);
}

}  // namespace
}  // namespace hadal
