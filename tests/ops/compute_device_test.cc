// A card's memory and stream: what goes up comes down, and the host keeps its hands off it.
#include "hadal/ops/compute_device.h"

#include <gmock/gmock.h>

#include <numeric>

#include "hadal/ops/elementwise.h"
#include "hadal/ops/rmsnorm.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

class Card : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_card()) GTEST_SKIP() << "no card here";
    device_.emplace(Device::kCuda);
    arena_.emplace(device_->memory());
  }
  Context ctx() { return device_->context(pool_, *arena_); }

  ThreadPool pool_{1};
  std::optional<ComputeDevice> device_;
  std::optional<Arena> arena_;
  Arena host_;
};

TEST_F(Card, TensorsGoUpAndComeDown) {
  Context card = ctx();
  Tensor values = Tensor::empty(host_, DType::kF32, {1000});
  std::iota(values.flat<float>().begin(), values.flat<float>().end(), 1.0F);
  Tensor up = values.clone(*arena_);
  EXPECT_FALSE(up.on_host());
  scale(card, up.flat<float>(), 2.0F);
  const Tensor down = up.clone(host_);
  EXPECT_TRUE(down.on_host());
  for (size_t i = 0; i < 1000; ++i) EXPECT_EQ(down.flat<float>()[i], 2.0F * (1.0F + float(i)));
  EXPECT_EQ(count_not_finite(card, up.flat<float>()), 0);
}

TEST_F(Card, ZerosAreZeros) {
  Context card = ctx();
  {
    Tensor dirty = card.empty({77});
    fill(card, dirty.flat<float>(), 3.0F);
  }
  const Tensor zeros = card.zeros({77}).clone(host_);
  for (const float x : zeros.flat<float>()) EXPECT_EQ(x, 0.0F);
}

TEST_F(Card, TheHostMayNotTouchItsMemory) {
  Context card = ctx();
  const Tensor there = card.zeros({16});
  EXPECT_DEATH(static_cast<void>(std::printf("%f", double{there.flat<float>()[3]})), "");
}

TEST_F(Card, SaysWhatWouldFit) {
  Context card = ctx();
  try {
    const Tensor huge = card.empty({int64_t{1} << 40});
    FAIL() << "four TiB were there";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("4398046511104 bytes asked for"));
    EXPECT_THAT(error.what(), testing::HasSubstr("at most"));
  }
}

}  // namespace
}  // namespace hadal::test
