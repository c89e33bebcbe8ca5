// The contract of ops/gemm.h: a row of nt and nn is the same bits whatever rows come with it, however
// many they are, in whichever group and on however many threads. 1 to 200 rows cross every switch
// between kernels.
#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "hadal/core/rng.h"
#include "hadal/ops/gemm.h"
#include "hadal/ops/grouped_gemm.h"
#include "hadal/ops/latent_attention.h"
#include "tests/support/weights.h"

namespace hadal::test {
namespace {

constexpr int64_t kMostRows = 200;

// Deeper than two cuts of either order, and no multiple of a vector.
constexpr int64_t kOut = 71, kIn = 1061;

class BatchInvariance : public testing::Test {
 protected:
  BatchInvariance() {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      plain_.emplace_back(dtype, kOut, kIn, 1);
    }
    coded_.emplace_back(WeightForm::kFp8, kOut, kIn, 2, kWeightBlocks);
    coded_.emplace_back(WeightForm::kQ8, kOut, kIn, 3, kQuantBlocks);
    coded_.emplace_back(WeightForm::kQ4, kOut, kIn, 4, kQuantBlocks);
    for (const StoredWeight& each : plain_) weights_.push_back(each.view());
    for (const CodedWeight& each : coded_) weights_.push_back(each.view());
  }

  // y of the rows `which` of x, computed together.
  using Rows = std::vector<int64_t>;
  Tensor nt(Context& ctx, const Tensor& x, const WeightView& w, const Rows& which) {
    const Tensor in = picked(ctx, x, which);
    Tensor y = ctx.zeros({in.dim(0), w.rows});
    gemm_nt(ctx, std::array{Product{y.mat(), in.mat(), w, beta_, is_bf16_}});
    return y;
  }
  Tensor nn(Context& ctx, const Tensor& dy, const WeightView& w, const Rows& which) {
    const Tensor in = picked(ctx, dy, which);
    Tensor dx = ctx.zeros({in.dim(0), w.cols});
    gemm_nn(ctx, dx.mat(), in.mat(), w, beta_);
    return dx;
  }
  static Tensor picked(Context& ctx, const Tensor& x, const Rows& which) {
    Tensor result = ctx.empty({std::ssize(which), x.dim(1)});
    for (size_t i = 0; i < which.size(); ++i) {
      std::ranges::copy(x.mat().row(which[i]), result.mat().row(static_cast<int64_t>(i)).begin());
    }
    return result;
  }
  Tensor random(int64_t rows, int64_t cols, uint64_t seed) {
    Tensor x = ctx_.empty({rows, cols});
    std::ranges::copy(random_values(rows * cols, seed), x.flat<float>().begin());
    return x;
  }
  static Rows first(int64_t n) {
    Rows rows(static_cast<size_t>(n));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }
  static void expect_rows(const Tensor& got, const Tensor& want, const Rows& which,
                          const std::string& what) {
    for (size_t i = 0; i < which.size(); ++i) {
      const auto a = got.mat().row(static_cast<int64_t>(i)), b = want.mat().row(which[i]);
      ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin())) << what << ", row " << which[i];
    }
  }
  template <class Product>
  void expect_invariant(const Product& product, const Tensor& x, const std::string& what,
                        const std::vector<int64_t>& counts) {
    // Alone, row by row.
    Tensor alone;
    for (int64_t t = 0; t < x.dim(0); ++t) {
      const Tensor one = product(ctx_, x, Rows{t});
      if (t == 0) alone = ctx_.empty({x.dim(0), one.dim(1)});
      std::ranges::copy(one.flat<float>(), alone.mat().row(t).begin());
    }
    Rng rng(5);
    for (const int64_t n : counts) {
      expect_rows(product(ctx_, x, first(n)), alone, first(n), concat(what, ", ", n, " rows"));
      Rows shuffled = first(x.dim(0));
      for (size_t i = shuffled.size(); i-- > 1;) {
        std::swap(shuffled[i], shuffled[rng.uniform_below(i + 1)]);
      }
      shuffled.resize(static_cast<size_t>(n));
      Context& other = n % 2 == 0 ? three_ : ctx_;
      expect_rows(product(other, x, shuffled), alone, shuffled,
                  concat(what, ", ", n, " of others"));
    }
  }

  ThreadPool pool_{1}, three_threads_{3};
  Arena arena_;
  Context ctx_{pool_, arena_}, three_{three_threads_, arena_};
  std::vector<StoredWeight> plain_;
  std::vector<CodedWeight> coded_;
  std::vector<WeightView> weights_;
  float beta_ = 0.0F;
  bool is_bf16_ = false;
};

const std::vector<int64_t> kAroundSwitches{1, 2, 7, 31, 32, 33, 63, 64, 65, 96, 130, 192, 193, 200};

TEST_F(BatchInvariance, EveryNumberOfRowsForward) {
  const Tensor x = random(kMostRows, kIn, 7);
  std::vector<int64_t> all(kMostRows);
  std::iota(all.begin(), all.end(), 1);
  expect_invariant([&](Context& ctx, const Tensor& rows,
                       const Rows& which) { return nt(ctx, rows, weights_[0], which); },
                   x, "nt F32", all);
}

TEST_F(BatchInvariance, EveryNumberOfRowsBackward) {
  const Tensor dy = random(kMostRows, kOut, 8);
  std::vector<int64_t> all(kMostRows);
  std::iota(all.begin(), all.end(), 1);
  expect_invariant([&](Context& ctx, const Tensor& rows,
                       const Rows& which) { return nn(ctx, rows, weights_[0], which); },
                   dy, "nn F32", all);
}

TEST_F(BatchInvariance, EveryFormAddedOrNot) {
  const Tensor x = random(kMostRows, kIn, 9), dy = random(kMostRows, kOut, 10);
  for (const float beta : {0.0F, 1.0F}) {
    beta_ = beta;
    for (const WeightView& w : weights_) {
      const std::string what = concat(form_name(w.form), ", beta ", beta);
      expect_invariant([&](Context& ctx, const Tensor& rows,
                           const Rows& which) { return nt(ctx, rows, w, which); },
                       x, "nt " + what, kAroundSwitches);
      expect_invariant([&](Context& ctx, const Tensor& rows,
                           const Rows& which) { return nn(ctx, rows, w, which); },
                       dy, "nn " + what, kAroundSwitches);
    }
  }
}

// BF16 by BF16, in pairs where the processor can: the same values up to rounding, and one row as many.
TEST_F(BatchInvariance, InputOfBf16) {
  Tensor x = random(kMostRows, kIn, 9);
  for (float& value : x.flat<float>()) value = to_float(to_bf16(value));
  const WeightView& w = weights_[1];
  ASSERT_EQ(w.form, WeightForm::kBF16);
  const Rows all = first(kMostRows);
  const Tensor want = nt(ctx_, x, w, all);
  is_bf16_ = true;
  test::expect_close(elements(nt(ctx_, x, w, all).mat()), elements(want.mat()),
                     Tolerance::for_sum(kIn).in_rows_of(kOut), "BF16 by BF16");
  for (const float beta : {0.0F, 1.0F}) {
    beta_ = beta;
    expect_invariant([&](Context& ctx, const Tensor& rows,
                         const Rows& which) { return nt(ctx, rows, w, which); },
                     x, "nt of BF16", kAroundSwitches);
  }
}

// A deep sum of nn: several cuts.
TEST_F(BatchInvariance, DeepSumsOfBackward) {
  const StoredWeight w(DType::kF32, 700, 37, 11);
  const Tensor dy = random(kMostRows, 700, 12);
  for (const float beta : {0.0F, 1.0F}) {
    beta_ = beta;
    expect_invariant([&](Context& ctx, const Tensor& rows,
                         const Rows& which) { return nn(ctx, rows, w.view(), which); },
                     dy, "deep nn", kAroundSwitches);
  }
}

// Groups of every size across the switches: each row is what it is without groups.
TEST_F(BatchInvariance, GroupsOfAnySize) {
  const std::vector<int64_t> offsets{0, 1, 33, 33, 65, 129, 194, 394, 400};
  const Tensor x = random(400, kIn, 13), dy = random(400, kOut, 14);
  for (const WeightView& w : weights_) {
    const std::vector<WeightView> group(offsets.size() - 1, w);
    for (Context* ctx : {&ctx_, &three_}) {
      Tensor y = ctx->zeros({400, kOut}), dx = ctx->zeros({400, kIn});
      grouped_gemm_nt(*ctx, y.mat(), x.mat(), group, offsets);
      grouped_gemm_nn(*ctx, dx.mat(), dy.mat(), group, offsets);
      for (const int64_t t : {0, 1, 20, 33, 64, 65, 128, 129, 193, 194, 300, 393, 394, 399}) {
        ASSERT_EQ(elements(nt(ctx_, x, w, {t}).mat()), elements(y.mat().rows(t, t + 1)))
            << form_name(w.form) << " row " << t;
        ASSERT_EQ(elements(nn(ctx_, dy, w, {t}).mat()), elements(dx.mat().rows(t, t + 1)))
            << form_name(w.form) << " row " << t;
      }
    }
  }
}

// The products around absorbed attention, head by head.
TEST_F(BatchInvariance, AbsorbedQueriesAndExpandedValues) {
  const int64_t n_heads = 3, d_nope = 300, d_v = 21, d_c = 600;
  const StoredWeight w(DType::kF32, n_heads * (d_nope + d_v), d_c, 15);
  const Tensor q = random(kMostRows, n_heads * d_nope, 16),
               o = random(kMostRows, n_heads * d_c, 17);
  const auto thd = [&](auto&& t, int64_t width) {
    return View<const float, 3>(std::as_const(t).mat().data(), {t.dim(0), n_heads, width});
  };
  expect_invariant(
      [&](Context& ctx, const Tensor& rows, const Rows& which) {
        const Tensor in = picked(ctx, rows, which);
        Tensor out = ctx.zeros({in.dim(0), n_heads * d_c});
        absorb_query(ctx, {out.mat().data(), {in.dim(0), n_heads, d_c}}, thd(in, d_nope), w.view());
        return out;
      },
      q, "absorb_query", kAroundSwitches);
  expect_invariant(
      [&](Context& ctx, const Tensor& rows, const Rows& which) {
        const Tensor in = picked(ctx, rows, which);
        Tensor out = ctx.zeros({in.dim(0), n_heads * d_v});
        expand_value(ctx, {out.mat().data(), {in.dim(0), n_heads, d_v}}, thd(in, d_c), w.view());
        return out;
      },
      o, "expand_value", kAroundSwitches);
}

}  // namespace
}  // namespace hadal::test
