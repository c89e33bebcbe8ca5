// The average of the weights against its formula, and beside what reads the weights meanwhile.
#include "hadal/optim/weight_average.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/support/compare.h"

namespace hadal {
namespace {

class WeightAverageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::vector<Tensor::Shape> shapes = {{500, 300}, {7, 9}, {33}};
    params_.resize(shapes.size());
    for (size_t i = 0; i < shapes.size(); ++i) {
      params_[i].master = Tensor::empty(arena_, DType::kF32, shapes[i]);
      set_weights(i, static_cast<uint64_t>(i));
      trainables_.push_back({"p", &params_[i], true});
    }
    shards_ = whole_shards(trainables_);
  }

  void set_weights(size_t i, uint64_t seed) {
    const auto flat = params_[i].master.flat<float>();
    std::ranges::copy(test::random_values<float>(std::ssize(flat), seed), flat.begin());
  }

  static float at(const Tensor& tensor, size_t i) { return tensor.flat<float>()[i]; }

  Arena arena_;
  ThreadPool pool_{2};
  Context ctx_{pool_, arena_};
  std::vector<Param> params_;
  std::vector<Trainable> trainables_;
  std::vector<Shard> shards_;
};

TEST_F(WeightAverageTest, BeginsAsTheWeightsAndFollowsThem) {
  WeightAverage average(arena_, trainables_, shards_);
  for (size_t i = 0; i < params_.size(); ++i) {
    for (const size_t j : {size_t{0}, params_[i].master.flat<float>().size() - 1}) {
      const float old = at(params_[i].master, j);
      EXPECT_EQ(at(average.tensors()[i], j), old);
      params_[i].master.flat<float>()[j] = old + 1.0F;
    }
  }
  average.begin_update(ctx_, 0.75F);
  average.begin_update(ctx_, 0.75F);  // waits for the first
  for (size_t i = 0; i < params_.size(); ++i) {
    EXPECT_NEAR(at(average.tensors()[i], 0), at(params_[i].master, 0) - 0.75F * 0.75F, 1e-6) << i;
  }
}

TEST_F(WeightAverageTest, ExchangesItselfWithTheWeights) {
  WeightAverage average(arena_, trainables_, shards_);
  const float old = at(params_[1].master, 3);
  set_weights(1, 99);
  const float now = at(params_[1].master, 3);
  average.exchange();
  EXPECT_EQ(at(params_[1].master, 3), old);
  average.exchange();
  EXPECT_EQ(at(params_[1].master, 3), now);
  EXPECT_EQ(at(average.tensors()[1], 3), old);
}

// Each time the weights are all one value, so an update that read them while they moved would show.
TEST_F(WeightAverageTest, WeightsMayChangeAfterWait) {
  WeightAverage average(arena_, trainables_, shards_);
  const auto weights = params_[0].master.flat<float>();
  const auto copy = average.tensors()[0].flat<float>();
  std::ranges::fill(weights, 0.0F);
  std::ranges::fill(copy, 0.0F);
  float expected = 0.0F;
  for (int step = 1; step <= 20; ++step) {
    average.wait();
    std::ranges::fill(weights, static_cast<float>(step));
    average.begin_update(ctx_, 0.5F);
    expected += 0.5F * (static_cast<float>(step) - expected);
  }
  average.wait();
  EXPECT_EQ(std::ranges::count(copy, expected), std::ssize(copy));
}

TEST_F(WeightAverageTest, FollowsTheRowsOfItsShards) {
  Tensor own = params_[1].master.clone(arena_);
  std::vector<Shard> rows;
  rows.push_back({.param = 0, .first = 128, .last = 256});
  rows.push_back({.param = 1, .first = 0, .last = 7, .master = own.share()});
  WeightAverage average(arena_, trainables_, rows);
  EXPECT_EQ(average.tensors()[0].shape(), Tensor::Shape({128, 300}));
  const float old = at(params_[0].master, 128 * 300), other = at(own, 3);
  params_[0].master.flat<float>()[128 * 300] = old + 1.0F;
  own.flat<float>()[3] = other + 2.0F;
  average.begin_update(ctx_, 0.75F);
  EXPECT_NEAR(at(average.tensors()[0], 0), old + 0.25F, 1e-6);
  EXPECT_NEAR(at(average.tensors()[1], 3), other + 0.5F, 1e-6);
}

}  // namespace
}  // namespace hadal
