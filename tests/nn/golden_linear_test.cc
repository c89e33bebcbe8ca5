// Linear and GroupedLinear in FP8 training against the stored linear of tests/golden/units: 130 tokens, 136
// channels in, 132 out, so that no tile, band or block is whole. Its numbers come of F64 products of the
// quantised operands; dW of columns quantised from the rows that were not rounded.
#include <gtest/gtest.h>

#include "hadal/nn/grouped_linear.h"
#include "hadal/ops/copy.h"
#include "tests/nn/f64_products.h"
#include "tests/ops/golden_units.h"
#include "tests/support/random_model.h"

namespace hadal::test {
namespace {

auto turned(const Tensor& x) {
  return [&x](int64_t i, int64_t k) { return x.mat()(k, i); };
}

class GoldenLinear : public ::testing::TestWithParam<bool> {
 protected:
  GoldenLinear()
      : x_(golden_.tensor("fp8.linear.x").clone(random_.arena)),
        w_(golden_.tensor("fp8.linear.w").clone(random_.arena)),
        dy_(golden_.tensor("fp8.linear.dy").clone(random_.arena)) {}

  Precision products() const { return GetParam() ? Precision::kFp8 : Precision::kFp8F32Scales; }
  Param weight() {
    Param result;
    result.master = w_.share();
    result.allocate_grad(random_.arena);
    remake_working_weight(ctx_, result, products());
    return result;
  }
  Tensor rounded(const Tensor& x, Tiling tiling) {
    return quantised_values(ctx_, x, tiling, GetParam());
  }
  // Off from the stored numbers by no more than F32 sums of so many terms, whose magnitudes the
  // operands give, may be.
  template <class A, class B>
  void expect_stored(const Tensor& got, const char* name, int64_t inner, const A& a, const B& b) {
    const Tensor want = golden_.tensor(concat("fp8.linear", GetParam() ? "_ue8m0." : ".", name));
    Sums sums = f64_product(got.dim(0), got.dim(1), inner, a, b);
    const auto values = want.flat<float>();
    sums.value.assign(values.begin(), values.end());
    expect_within_bound(got, sums, inner, name);
  }
  void expect_y(const Tensor& y) {
    const Tensor x = rounded(x_, kRowTiles), w = rounded(w_, kWeightBlocks);
    expect_stored(y, "y", w_.dim(1), x.mat(), w.mat());
  }
  void expect_dx(const Tensor& dx) {
    const Tensor dy = rounded(dy_, kRowTiles), w = rounded(w_, kWeightBlocks);
    expect_stored(dx, "dx", w_.dim(0), dy.mat(), turned(w));
  }
  void expect_dw(const Tensor& dw) {
    const Tensor dy = rounded(dy_, kColumnTiles), x = rounded(x_, kColumnTiles);
    expect_stored(dw, "dw", x_.dim(0), turned(dy), turned(x));
  }
  // dW of the rows [begin, begin + n) alone.
  void expect_dw_of_rows(const Tensor& dw, int64_t begin, int64_t n, bool columns) {
    const auto operand = [&](const Tensor& all) {
      const Tensor source = columns ? all.share() : rounded(all, kRowTiles);
      Tensor part = ctx_.empty({n, all.dim(1)});
      if (n > 0) copy_rows(ctx_, part.mat(), source.mat().rows(begin, begin + n));
      return rounded(part, kColumnTiles);
    };
    const Tensor dy = operand(dy_), x = operand(x_);
    expect_within_bound(dw, f64_product(dw.dim(0), dw.dim(1), n, turned(dy), turned(x)), n, "dW");
  }

  const GoldenUnits golden_;
  RandomModel random_{odd_config()};
  Context& ctx_ = random_.ctx;
  Tensor x_, w_, dy_;
};
INSTANTIATE_TEST_SUITE_P(PowerOfTwo, GoldenLinear, ::testing::Bool());

TEST_P(GoldenLinear, ForwardAndBothGradients) {
  Linear linear;
  linear.weight = weight();
  linear.precision = {products(), WeightGradientTiles::kColumns};
  Linear::Saved saved;
  saved.x = linear.input(ctx_, x_);
  expect_y(linear.forward(ctx_, saved.x));
  expect_dx(linear.backward_input(ctx_, dy_.share(), saved));
  Products list{ctx_};
  linear.backward_weight(list, std::move(saved));
  list.run();
  expect_dw(linear.weight.grad);
}

// Every expert has the stored weight, so y and dx are the stored ones however the rows are shared out;
// dW is, where one expert has them all. Of other groups every expert's tiles begin anew.
TEST_P(GoldenLinear, GroupsOfExperts) {
  const std::vector<std::vector<int64_t>> cuts = {
      {0, 0, 130, 130, 130}, {0, 1, 1, 38, 130}, {0, 128, 129, 130, 130}};
  for (const std::vector<int64_t>& offsets : cuts) {
    for (const auto tiles : {WeightGradientTiles::kColumns, WeightGradientTiles::kRetiled}) {
      GroupedLinear experts;
      for (size_t e = 0; e + 1 < offsets.size(); ++e) experts.weights.push_back(weight());
      experts.precision = {products(), tiles};
      Products list{ctx_};
      const LinearInput x = experts.input(ctx_, x_), dy = experts.gradient(ctx_, dy_, offsets);
      const Tensor y = experts.forward(list, x, offsets);
      Tensor dx = ctx_.empty(x_.shape());
      experts.backward_input(list, dx, dy, offsets);
      list.run();
      expect_y(y);
      expect_dx(dx);
      const bool columns = tiles == WeightGradientTiles::kColumns;
      experts.backward_weight(
          list, dy, LinearInput::of_groups(ctx_, x.rows().share(), x_, experts.precision, offsets),
          offsets);
      list.run();
      if (columns && offsets[1] == 0) expect_dw(experts.weights[1].grad);
      for (size_t e = 0; e + 1 < offsets.size(); ++e) {
        const int64_t begin = offsets[e], n = offsets[e + 1] - begin;
        SCOPED_TRACE(concat("expert ", e, " of ", n, " rows", columns ? ", columns" : ""));
        expect_dw_of_rows(experts.weights[e].grad, begin, n, columns);
      }
    }
  }
}

}  // namespace
}  // namespace hadal::test
