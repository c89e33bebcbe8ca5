// Idle experts and lost time of loads that are counted by hand.
#include "hadal/reproduce/expert_work.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/train/metrics.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using Layer = std::vector<int64_t>;

// A run of batches of 2 x 20 tokens, each of which chooses 2 of 8 experts: 80 choices a layer, a mean of 10.
class ExpertWorkTest : public ::testing::Test {
 protected:
  ExpertWorkTest() : metrics_(folder_.path(), "run", 0, /*tensorboard=*/false) {
    std::filesystem::create_directory(folder_ / "latest");
    folder_.write("latest/config.json", config_to_hf(test::small_shape()).dump());
    run_.train.out = folder_.path();
    run_.train.batch_sequences = 2;
    run_.train.seq_len = 20;
  }

  // The next step, with the loads of its layers; an empty one has no experts.
  void log(const std::vector<Layer>& layers) {
    Json loads = Json::array();
    for (const Layer& layer : layers) {
      loads.push_back(Json::array());
      for (const int64_t tokens : layer) loads.as_array().back().push_back(tokens);
    }
    write(Json::Object{{"moe/load", loads}});
  }
  void log_without_loads() { write(Json::Object{{"train/loss", 5.0}}); }

  ExpertWork work(int64_t n_ranks) const { return expert_work(run_, n_ranks); }

 private:
  void write(const Json& values) {
    ++step_;
    metrics_.write(step_, 40 * step_, "train", values);
  }

  const test::TemporaryFolder folder_;
  Metrics metrics_;
  TrainConfig run_;
  int64_t step_ = 0;
};

const Layer kEven(8, 10);
// 40 beside 0, 0 beside 0, 20 beside 20, 0 beside 0.
const Layer kUneven = {40, 0, 0, 0, 20, 20, 0, 0};

TEST_F(ExpertWorkTest, EvenLoadsLoseNothing) {
  log({{}, kEven, kEven});
  const ExpertWork even = work(4);
  EXPECT_EQ(even.idle_experts, 0.0);
  EXPECT_EQ(even.lost, 0.0);
}

TEST_F(ExpertWorkTest, AMeanOverLayersWithExperts) {
  log({{}, kEven, kUneven});
  EXPECT_DOUBLE_EQ(work(4).idle_experts, 100.0 * 5 / 16);
  // Ranks of 40, 0, 40 and 0 tokens wait for 40 where 20 is the mean: half is lost, in one of two layers.
  EXPECT_DOUBLE_EQ(work(4).lost, 25.0);
  EXPECT_DOUBLE_EQ(work(2).lost, 0.0) << "40 on either of two";
  // Alone, the fullest expert takes 40 of the mean 10's time.
  EXPECT_DOUBLE_EQ(work(8).lost, 100.0 * 0.75 / 2);
  EXPECT_DOUBLE_EQ(work(1).lost, 0.0);
}

TEST_F(ExpertWorkTest, ATenthOfTheMeanIsNotIdle) {
  log({{0, 1, 1, 2, 19, 19, 19, 19}});
  EXPECT_DOUBLE_EQ(work(4).idle_experts, 100.0 / 8);
}

TEST_F(ExpertWorkTest, TheFirstHalfOfTheRecordsDoesNotCount) {
  log({kUneven});
  log_without_loads();
  log({kUneven});
  log({kUneven});
  log_without_loads();
  log({kEven});
  EXPECT_DOUBLE_EQ(work(4).lost, 25.0) << "records 3 and 4 of four";
  log({kEven});
  EXPECT_DOUBLE_EQ(work(4).lost, 50.0 / 3) << "records 3 to 5 of five";
  EXPECT_DOUBLE_EQ(work(4).idle_experts, 100.0 * 5 / 8 / 3);
}

TEST_F(ExpertWorkTest, NothingIsSaidOfARunWithoutRecords) {
  log_without_loads();
  EXPECT_EQ(work(4).idle_experts, 0.0);
  EXPECT_EQ(work(4).lost, 0.0);
}

TEST_F(ExpertWorkTest, EveryStepMustHoldEveryChoice) {
  Layer one_less = kEven;
  --one_less[3];
  log({kEven, one_less});
  log({kEven, kEven});
  log({kEven, kEven});
  test::expect_refused<Error>([&] { (void)work(4); },
                              "step 1: 79 choices reached an expert, 80 were made");
}

}  // namespace
}  // namespace hadal
