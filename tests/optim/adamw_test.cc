// AdamW and the global norm against the formulas in double.
#include "hadal/optim/adamw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "hadal/ops/elementwise.h"
#include "hadal/optim/gradient_clip.h"
#include "tests/support/compare.h"

namespace hadal {
namespace {

using test::random_values;

// One parameter in doubles.
struct Expected {
  std::vector<double> p, m, v;
  void step(const std::vector<float>& grad, const AdamwConfig& c, double lr, double scale,
            bool decay, int64_t n) {
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = scale * double{grad[i]};
      if (decay) p[i] *= 1 - lr * c.weight_decay;
      m[i] = c.beta1 * m[i] + (1 - c.beta1) * g;
      v[i] = c.beta2 * v[i] + (1 - c.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(c.beta1, static_cast<double>(n)));
      const double v_hat = v[i] / (1 - std::pow(c.beta2, static_cast<double>(n)));
      p[i] -= lr * m_hat / (std::sqrt(v_hat) + c.eps);
    }
  }
};

class AdamwTest : public ::testing::Test {
 protected:
  // A large matrix (shared among threads), a small one and a norm.
  void SetUp() override {
    const std::vector<Tensor::Shape> shapes = {{500, 300}, {7, 9}, {33}};
    params_.resize(shapes.size());
    for (size_t i = 0; i < shapes.size(); ++i) {
      params_[i].master = Tensor::empty(arena_, DType::kF32, shapes[i]);
      const auto start = random_values(params_[i].master.size(), i + 1);
      std::copy(start.begin(), start.end(), params_[i].master.flat<float>().begin());
      params_[i].allocate_grad(arena_);
      expected_.push_back({{start.begin(), start.end()},
                           std::vector<double>(start.size()),
                           std::vector<double>(start.size())});
      trainables_.push_back({concat("p", i), &params_[i], shapes[i].size() == 2});
    }
  }
  std::vector<std::vector<float>> set_gradients(uint64_t seed) {
    std::vector<std::vector<float>> grads;
    for (size_t i = 0; i < params_.size(); ++i) {
      grads.push_back(random_values(params_[i].master.size(), seed + i, 0.1));
      std::copy(grads[i].begin(), grads[i].end(), params_[i].grad.flat<float>().begin());
    }
    return grads;
  }

  ThreadPool pool_{3};
  Arena arena_;
  Context ctx_{pool_, arena_};
  std::vector<Param> params_;
  std::vector<Trainable> trainables_;
  std::vector<Expected> expected_;
};

TEST_F(AdamwTest, FollowsTheFormulaForTenSteps) {
  const AdamwConfig config;
  AdamW adamw(arena_, trainables_, config);
  for (int64_t n = 1; n <= 10; ++n) {
    const double lr = 1e-2 / static_cast<double>(n);
    const auto grads = set_gradients(static_cast<uint64_t>(100 * n));
    adamw.step(ctx_, lr, 0.5F);
    for (size_t i = 0; i < params_.size(); ++i) {
      expected_[i].step(grads[i], config, lr, 0.5, trainables_[i].decay, n);
    }
  }
  for (size_t i = 0; i < params_.size(); ++i) {
    const std::vector<float> want(expected_[i].p.begin(), expected_[i].p.end());
    const auto got = std::as_const(params_[i].master).flat<float>();
    // About ten roundings of f32 per step.
    const Tensor::Shape shape = params_[i].master.shape();
    test::expect_close({got.begin(), got.end()}, want,
                       test::Tolerance::for_sum(100).in_rows_of(shape.back()), trainables_[i].name);
  }
}

TEST_F(AdamwTest, LeavesNormsWithoutGradientAndDecaysMatrices) {
  AdamW adamw(arena_, trainables_, {});
  const float matrix = params_[1].master.mat()(0, 0), norm = params_[2].master.vec()(0);
  adamw.step(ctx_, 0.1, 1.0F);
  EXPECT_FLOAT_EQ(params_[1].master.mat()(0, 0), matrix * (1.0F - 0.1F * 0.1F));
  EXPECT_EQ(params_[2].master.vec()(0), norm);
}

// Cut into rows, and with a master of its own: the bits of the whole.
TEST_F(AdamwTest, ShardsMakeTheStepOfTheWhole) {
  std::vector<Tensor> start, whole;
  for (const Param& param : params_) start.push_back(param.master.clone(arena_));
  AdamW all(arena_, trainables_, {});
  set_gradients(7);
  all.step(ctx_, 1e-2, 0.5F);
  for (size_t i = 0; i < params_.size(); ++i) {
    whole.push_back(std::exchange(params_[i].master, start[i].clone(arena_)));
  }
  std::vector<Shard> first, second;
  first.push_back({.param = 0, .first = 0, .last = 256});
  first.push_back({.param = 2, .first = 0, .last = 33});
  second.push_back({.param = 0, .first = 256, .last = 500});
  second.push_back({.param = 1, .first = 0, .last = 7, .master = start[1].share()});
  AdamW one(arena_, trainables_, std::move(first), {}),
      other(arena_, trainables_, std::move(second), {});
  EXPECT_EQ(one.moments()[0].m.shape(), Tensor::Shape({256, 300}));
  set_gradients(7);
  one.step(ctx_, 1e-2, 0.5F);
  EXPECT_EQ(std::as_const(params_[0].grad).mat()(255, 299), 0.0F);
  EXPECT_NE(std::as_const(params_[0].grad).mat()(256, 0), 0.0F) << "the other's";
  other.step(ctx_, 1e-2, 0.5F);
  params_[1].master = start[1].share();
  for (size_t i = 0; i < params_.size(); ++i) {
    const auto got = std::as_const(params_[i].master).flat<float>();
    EXPECT_TRUE(std::ranges::equal(got, std::as_const(whole[i]).flat<float>())) << i;
  }
}

TEST_F(AdamwTest, ClearsTheGradientsItHasUsed) {
  AdamW adamw(arena_, trainables_, {});
  set_gradients(7);
  adamw.step(ctx_, 1e-3, 1.0F);
  for (const Param& param : params_) {
    for (const float g : param.grad.flat<float>()) ASSERT_EQ(g, 0.0F);
  }
}

TEST_F(AdamwTest, Bf16MomentsAreTheRoundedF32Moments) {
  AdamwConfig config;
  AdamW wide(arena_, trainables_, config);
  config.moment_dtype = DType::kBF16;
  AdamW narrow(arena_, trainables_, config);
  set_gradients(3);
  wide.step(ctx_, 0.0, 1.0F);
  set_gradients(3);
  narrow.step(ctx_, 0.0, 1.0F);
  for (size_t i = 0; i < params_.size(); ++i) {
    const auto want = std::as_const(wide.moments()[i].m).flat<float>();
    const auto got = std::as_const(narrow.moments()[i].m).flat<bf16>();
    for (size_t j = 0; j < want.size(); ++j) ASSERT_EQ(got[j].bits, to_bf16(want[j]).bits);
  }
}

TEST_F(AdamwTest, DoesNotDependOnTheNumberOfThreads) {
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    Context ctx{pool, arena_};
    AdamW adamw(arena_, trainables_, {});
    set_gradients(11);
    const GradientNorm norm = gradient_norm(ctx, trainables_);
    std::vector<Tensor> before;
    for (const Param& param : params_) before.push_back(param.master.clone(arena_));
    adamw.step(ctx, 1e-2, clip_factor(norm.norm, 1.0));
    std::vector<float> all;
    for (size_t i = 0; i < params_.size(); ++i) {
      const auto flat = std::as_const(params_[i].master).flat<float>();
      all.insert(all.end(), flat.begin(), flat.end());
      params_[i].master = std::move(before[i]);
    }
    results.push_back(all);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST_F(AdamwTest, NormSumsOverAllParameters) {
  const auto grads = set_gradients(5);
  double squares = 0;
  for (const auto& grad : grads) {
    for (const float g : grad) squares += double{g} * double{g};
  }
  const GradientNorm norm = gradient_norm(ctx_, trainables_);
  EXPECT_NEAR(norm.norm, std::sqrt(squares), 1e-12 * norm.norm);
  EXPECT_EQ(first_not_finite(norm), -1);
}

// 64 rows of 256 are two blocks, 192 rows six.
TEST_F(AdamwTest, BlocksOfPartsAddUpToTheNormOfTheWhole) {
  Param param;
  param.master = Tensor::empty(arena_, DType::kF32, {300, 256});
  param.grad = param.master.clone(arena_);
  const auto values = random_values(300 * 256, 8);
  std::copy(values.begin(), values.end(), param.grad.flat<float>().begin());
  const GradientNorm whole = gradient_norm(ctx_, {{"p", &param, true}});
  double square = 0.0;
  for (const auto& [first, last] : {std::pair{0, 64}, {64, 256}, {256, 300}}) {
    const Shard part{.param = 0, .first = first, .last = last};
    const auto blocks = block_squares(ctx_, part.gradient({"p", &param, true}));
    EXPECT_EQ(std::ssize(blocks), ((last - first) * 256 + kSquaresBlock - 1) / kSquaresBlock);
    for (const double block : blocks) square += block;
  }
  EXPECT_EQ(square, whole.squares[0]);
}

TEST_F(AdamwTest, FindsTheParameterWhoseGradientIsNotFinite) {
  set_gradients(5);
  params_[1].grad.mat()(6, 8) = NAN;
  EXPECT_EQ(first_not_finite(gradient_norm(ctx_, trainables_)), 1);
  params_[0].grad.mat()(0, 0) = INFINITY;
  EXPECT_EQ(first_not_finite(gradient_norm(ctx_, trainables_)), 0);
}

TEST(ClipFactor, IsTheGoldenFormula) {
  EXPECT_FLOAT_EQ(clip_factor(0.5, 1.0), 1.0F);
  EXPECT_FLOAT_EQ(clip_factor(4.0, 1.0), static_cast<float>(1.0 / (4.0 + 1e-6)));
  EXPECT_FLOAT_EQ(clip_factor(1.0, 1.0), static_cast<float>(1.0 / (1.0 + 1e-6)));
  EXPECT_EQ(clip_factor(100.0, 0.0), 1.0F);
}

}  // namespace
}  // namespace hadal
