#include "hadal/ops/permute.h"

#include <algorithm>

#include "hadal/kernels/permute.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

// Token t goes to K different experts, some experts stay empty.
std::vector<int32_t> some_indices(int64_t T, int64_t K, int64_t E) {
  std::vector<int32_t> indices;
  for (int64_t t = 0; t < T; ++t) {
    std::vector<int32_t> row;
    for (int64_t k = 0; k < K; ++k) row.push_back(static_cast<int32_t>((t * t + 2 * k) % E));
    std::sort(row.begin(), row.end());
    indices.insert(indices.end(), row.begin(), row.end());
  }
  return indices;
}

TEST(ExpertRows, GroupsByExpertWithTokensAscending) {
  const int64_t T = 23, K = 3, E = 7;
  const std::vector<int32_t> indices = some_indices(T, K, E);
  const View<const int32_t, 2> view(indices.data(), {T, K});
  const ExpertRows rows = ExpertRows::from(view, {0, E});
  ASSERT_EQ(rows.offsets.size(), static_cast<size_t>(E + 1));
  EXPECT_EQ(rows.offsets.front(), 0);
  EXPECT_EQ(rows.offsets.back(), T * K);
  EXPECT_EQ(rows.n_rows(), T * K);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      const size_t row = static_cast<size_t>(rows.row_of[static_cast<size_t>(t * K + k)]);
      EXPECT_EQ(rows.token_of[row], t);
      const size_t e = static_cast<size_t>(view(t, k));
      EXPECT_GE(static_cast<int64_t>(row), rows.offsets[e]);
      EXPECT_LT(static_cast<int64_t>(row), rows.offsets[e + 1]);
      if (static_cast<int64_t>(row) > rows.offsets[e]) {
        EXPECT_LT(rows.token_of[row - 1], t);
      }
    }
  }
}

TEST(ExpertRows, NoTokens) {
  const ExpertRows rows = ExpertRows::from(View<const int32_t, 2>(nullptr, {0, 4}), {0, 3});
  EXPECT_EQ(rows.offsets, (std::vector<int64_t>{0, 0, 0, 0}));
  EXPECT_EQ(rows.n_rows(), 0);
}

// Two parts of the experts have the rows of the whole between them, and each combines its own.
TEST(Permute, RangesOfExpertsShareTheRowsOut) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    const int64_t T = 19, D = 13, K = 3, E = 7;
    const std::vector<int32_t> indices = some_indices(T, K, E);
    const View<const int32_t, 2> view(indices.data(), {T, K});
    const ExpertRows all = ExpertRows::from(view, {0, E});
    const Grid<float> x(T, D, 0, random_values(T * D, 1)), gates(T, K, 0, random_values(T * K, 2));
    for (const int64_t cut : {int64_t{0}, int64_t{3}, E}) {
      int64_t n_rows = 0;
      for (const ExpertRange range : {ExpertRange{0, cut}, ExpertRange{cut, E}}) {
        const ExpertRows part = ExpertRows::from(view, range);
        ASSERT_EQ(part.offsets.size(), static_cast<size_t>(range.size() + 1));
        for (int64_t r = 0; r < part.n_rows(); ++r) {  // the rows of the whole, shifted
          EXPECT_EQ(part.token_of[static_cast<size_t>(r)],
                    all.token_of[static_cast<size_t>(r + n_rows)]);
        }
        n_rows += part.n_rows();
        Grid<float> rows(part.n_rows(), D, 0), y(T, D, 0, std::vector<float>(247));
        gather_rows(machine.ctx(), rows.view(), x.view(), part);
        combine_rows(machine.ctx(), y.view(), rows.view(), gates.view(), part);
        for (int64_t t = 0; t < T; ++t) {
          float sum = 0;  // of the gates that are here
          for (int64_t k = 0; k < K; ++k) {
            if (part.row_of[static_cast<size_t>(t * K + k)] >= 0) {
              sum += gates.view()(t, k) * x.view()(t, 0);
            }
          }
          EXPECT_NEAR(y.view()(t, 0), sum, 1e-5F);
        }
      }
      EXPECT_EQ(n_rows, T * K);
    }
  }
}

void expect_permutes_agree(const Extents& e, int64_t K, int64_t E, ExpertRange here) {
  const int64_t T = e.rows, D = e.cols;
  const std::vector<int32_t> indices = some_indices(T, K, E);
  const ExpertRows rows = ExpertRows::from({indices.data(), {T, K}}, here);
  const int64_t R = rows.n_rows();
  expect_backends_agree(
      [&](Context& ctx) -> Outputs {
        const Grid<float> x(T, D, e.pad, random_values(T * D, 1));
        const Grid<float> h(R, D, 1, random_values(R * D, 2));
        const Grid<float> gates(T, K, 2, random_values(T * K, 3));
        Grid<float> gathered(R, D, e.pad), scaled(R, D, 1, random_values(R * D, 4));
        Grid<float> dh(R, D, 3, random_values(R * D, 5)), dgates(T, K, 1);
        std::vector<float> row_gates(static_cast<size_t>(R)), row_dgates(row_gates.size());
        const View<float, 1> at_rows(row_gates.data(), {R}), back(row_dgates.data(), {R});
        Grid<float> combined(T, D, e.pad, random_values(T * D, 6)), dx = combined;
        gather_rows(ctx, gathered.view(), x.view(), rows);
        gather_rows_backward(ctx, dx.view(), h.view(), rows);
        combine_rows(ctx, combined.view(), h.view(), gates.view(), rows);
        choices_to_rows(ctx, at_rows, gates.view(), rows);
        gate_backward(ctx, back, dh.view(), h.view(), at_rows);
        rows_to_choices(ctx, dgates.view(), back, rows);
        scale_rows(ctx, scaled.view(), at_rows);
        return {gathered, dx, combined, dgates, dh, scaled};
      },
      Tolerance::for_sum(D), text(e));
}

TEST(Permute, BackendsAgree) {
  for (const Extents& e : odd_extents()) {
    expect_permutes_agree(e, 3, 7, {0, 7});
    expect_permutes_agree(e, 6, 13, {4, 13});  // some experts are elsewhere
  }
}

TEST(Permute, GradientsMatchDifferences) {
  const int64_t T = 4, D = 3, K = 2, R = T * K;
  const std::vector<int32_t> indices = some_indices(T, K, 5);
  const ExpertRows rows = ExpertRows::from({indices.data(), {T, K}}, {0, 5});
  std::vector<double> x = random_values<double>(T * D, 1), gates = random_values<double>(T * K, 2);
  const std::vector<double> dy = random_values<double>(T * D, 3);
  std::vector<double> h(static_cast<size_t>(R * D)), y(dy.size());
  // y = sum_k gate * x[token]: gather and combine in one chain.
  const auto loss = [&] {
    std::fill(y.begin(), y.end(), 0.0);
    reference::gather_rows<double>({h.data(), {R, D}}, {x.data(), {T, D}}, rows.token_of);
    reference::combine_rows<double>({y.data(), {T, D}}, {h.data(), {R, D}}, {gates.data(), {T, K}},
                                    rows.row_of);
    return weighted_sum(y, dy);
  };
  loss();
  std::vector<double> dh(h.size()), dgates(gates.size()), dx(x.size()), row_gates(gates.size());
  std::vector<double> row_dgates(gates.size());
  reference::choices_to_rows<double>({row_gates.data(), {R}}, {gates.data(), {T, K}}, rows.row_of);
  reference::gather_rows<double>({dh.data(), {R, D}}, {dy.data(), {T, D}}, rows.token_of);
  reference::gate_backward<double>({row_dgates.data(), {R}}, {dh.data(), {R, D}},
                                   {h.data(), {R, D}}, {row_gates.data(), {R}});
  reference::rows_to_choices<double>({dgates.data(), {T, K}}, {row_dgates.data(), {R}},
                                     rows.row_of);
  reference::gather_rows_backward<double>({dx.data(), {T, D}}, {dh.data(), {R, D}}, rows.row_of);
  expect_gradient(x, loss, dx, "dx");
  expect_gradient(gates, loss, dgates, "dgates");
}

TEST(Permute, ScaledRowsSumToTheCombination) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    const int64_t T = 5, D = 4, K = 2;
    const std::vector<int32_t> indices = some_indices(T, K, 5);
    const ExpertRows rows = ExpertRows::from({indices.data(), {T, K}}, {0, 5});
    Grid<float> h(T * K, D, 0, random_values(T * K * D, 1)), y(T, D, 0, std::vector<float>(20)),
        sum = y;
    const Grid<float> gates(T, K, 0, random_values(T * K, 2));
    combine_rows(machine.ctx(), y.view(), h.view(), gates.view(), rows);
    std::vector<float> row_gates(static_cast<size_t>(T * K));
    const View<float, 1> at_rows(row_gates.data(), {T * K});
    choices_to_rows(machine.ctx(), at_rows, gates.view(), rows);
    scale_rows(machine.ctx(), h.view(), at_rows);
    gather_rows_backward(machine.ctx(), sum.view(), h.view(), rows);
    expect_close(sum.values(), y.values(), Tolerance::for_sum(K).in_rows_of(D),
                 "sum of the scaled rows");
  }
}

}  // namespace
}  // namespace hadal::test
