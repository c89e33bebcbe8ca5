// Products on a card against the reference, and the contracts of ops/gemm.h there: every form, every
// edge of its tiles, rows that do not depend on their company.
#include <array>

#include "hadal/ops/grouped_gemm.h"
#include "tests/ops/op_test.h"
#include "tests/support/coded_products.h"
#include "tests/support/weights.h"

namespace hadal::test {
namespace {

class GemmOnCard : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_card()) GTEST_SKIP() << "no card here";
    card_.emplace(Device::kCuda);
  }
  Context& card() { return card_->ctx(); }

  std::optional<Machine> card_;
  Machine reference_{Device::kReference};
};

struct CardShape {
  int64_t T, N, K;
};
const std::vector<CardShape> kCardShapes = {
    {0, 5, 7},   {3, 0, 5},     {4, 7, 0},     {1, 1, 1},     {1, 65, 33},
    {2, 64, 64}, {63, 129, 31}, {65, 63, 257}, {130, 70, 96}, {64, 64, 32}};

TEST_F(GemmOnCard, PlainFormsAgree) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const auto& [T, N, K] : kCardShapes) {
      for (const float beta : {0.0F, 1.0F}) {
        const StoredWeight w(dtype, N, K, 1, 3);
        const Grid<float> x(T, K, 2, random_values(T * K, 2)), dy(T, N, 1, random_values(T * N, 3));
        const auto run = [&](Context& ctx) -> Outputs {
          Grid<float> y(T, N, 3, random_values(T * N, 4)), dx(T, K, 3, random_values(T * K, 5));
          gemm_nt(ctx, y.view(), x.view(), w.view(), beta);
          gemm_nn(ctx, dx.view(), dy.view(), w.view(), beta);
          return {y, dx};
        };
        const Outputs got = run(card()), want = run(reference_.ctx());
        const std::string what = concat(dtype_name(dtype), " ", T, "x", N, "x", K, " beta ", beta);
        expect_close(got[0].values, want[0].values, Tolerance::for_sum(K + 1).in_rows_of(N), what);
        expect_close(got[1].values, want[1].values, Tolerance::for_sum(N + 1).in_rows_of(K), what);
      }
    }
  }
}

TEST_F(GemmOnCard, WeightGradientsAgree) {
  for (const auto& [T, N, K] : kCardShapes) {
    const Grid<float> x(T, K, 2, random_values(T * K, 2)), dy(T, N, 1, random_values(T * N, 3));
    const auto run = [&](Context& ctx) -> Outputs {
      Grid<float> dw(N, K, 3, random_values(N * K, 4));
      gemm_tn(ctx, dw.view(), dy.view(), x.view());
      return {dw};
    };
    expect_close(run(card())[0].values, run(reference_.ctx())[0].values,
                 Tolerance::for_sum(T + 1).in_rows_of(K), concat(T, "x", N, "x", K));
  }
}

TEST_F(GemmOnCard, CodedFormsAgree) {
  const int64_t N = 70, K = 160;
  for (const WeightForm form : {WeightForm::kFp8, WeightForm::kQ8, WeightForm::kQ4}) {
    const Tiling tiling = form == WeightForm::kFp8 ? kWeightBlocks : kQuantBlocks;
    const CodedWeight w(form, N, K, 7, tiling);
    for (const int64_t T : {1, 3, 65}) {
      const Grid<float> x(T, K, 4, random_values(T * K, 2)), dy(T, N, 0, random_values(T * N, 3));
      const auto run = [&](Context& ctx) -> Outputs {
        Grid<float> y(T, N), dx(T, K);
        gemm_nt(ctx, y.view(), x.view(), w.view());
        gemm_nn(ctx, dx.view(), dy.view(), w.view());
        return {y, dx};
      };
      const Outputs got = run(card()), want = run(reference_.ctx());
      const std::string what = concat(form_name(form), ", ", T, " rows");
      expect_close(got[0].values, want[0].values, Tolerance::for_sum(K).in_rows_of(N), what);
      expect_close(got[1].values, want[1].values, Tolerance::for_sum(N).in_rows_of(K), what);
    }
  }
}

TEST_F(GemmOnCard, ARowIsTheSameAloneAndInGroups) {
  const int64_t R = 150, N = 70, K = 90;
  const std::vector<int64_t> offsets{0, 1, 1, 66, 150};
  const StoredWeight w(DType::kBF16, N, K, 1);
  const std::vector<WeightView> weights(offsets.size() - 1, w.view());
  const Grid<float> x(R, K, 0, random_values(R * K, 2)), dy(R, N, 0, random_values(R * N, 3));
  Grid<float> y(R, N), dx(R, K), y_alone(R, N), dx_alone(R, K);
  grouped_gemm_nt(card(), y.view(), x.view(), weights, offsets);
  grouped_gemm_nn(card(), dx.view(), dy.view(), weights, offsets);
  for (const int64_t t : {0, 1, 63, 64, 65, 66, 149}) {
    gemm_nt(card(), y_alone.view().rows(t, t + 1), x.view().rows(t, t + 1), w.view());
    gemm_nn(card(), dx_alone.view().rows(t, t + 1), dy.view().rows(t, t + 1), w.view());
    EXPECT_EQ(elements(y_alone.view().rows(t, t + 1)), elements(y.view().rows(t, t + 1))) << t;
    EXPECT_EQ(elements(dx_alone.view().rows(t, t + 1)), elements(dx.view().rows(t, t + 1))) << t;
  }
}

TEST_F(GemmOnCard, GroupsOfGradientsAgree) {
  const int64_t R = 150, N = 70, K = 33;
  const std::vector<int64_t> offsets{0, 1, 1, 66, 150};
  const Grid<float> x(R, K, 0, random_values(R * K, 2)), dy(R, N, 0, random_values(R * N, 3));
  const auto run = [&](Context& ctx) {
    std::vector<Grid<float>> dw(offsets.size() - 1, Grid<float>(N, K, 1, random_values(N * K, 4)));
    std::vector<View<float, 2>> views;
    for (auto& each : dw) views.push_back(each.view());
    grouped_gemm_tn(ctx, views, dy.view(), x.view(), offsets);
    std::vector<float> all;
    for (const auto& each : dw) {
      const std::vector<float> values = each.values();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  expect_close(run(card()), run(reference_.ctx()), Tolerance::for_sum(85).in_rows_of(K), "dw");
}

}  // namespace
}  // namespace hadal::test
