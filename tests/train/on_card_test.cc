// A whole run on a card: the CPU's losses, and bits that neither repetition nor an interruption changes.
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/devices.h"
#include "tests/support/small_run.h"

namespace hadal::test {
namespace {

// The training losses of a run's metrics.jsonl, by step.
std::vector<double> training_losses(const SmallRun& run, const std::string& name) {
  std::vector<double> losses;
  std::istringstream lines(read_bytes(run.path(name) + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json record = parse_json(line, name);
    if (const Json* loss = record.find("train/loss")) losses.push_back(loss->as_number());
  }
  return losses;
}

TEST(RunOnCard, FollowsTheCpuAndResumesBitForBit) {
  if (!has_card()) GTEST_SKIP() << "no card here";
  const SmallRun run;
  const std::vector<std::string> set = {"train.steps=4", "checkpoint.every_steps=2",
                                        "optimizer.ema_decay=0.9"};
  run.train("cpu", set);
  run.train_on(Device::kCuda, "card", set);
  const std::vector<double> want = training_losses(run, "cpu"), got = training_losses(run, "card");
  ASSERT_EQ(got.size(), want.size());
  ASSERT_GE(got.size(), 4U);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4 * want[i]) << i;

  copy_as_killed_after(run, "card", "resumed", 2);
  run.train_on(Device::kCuda, "resumed", set, /*resume=*/true);
  EXPECT_EQ(differing_files(run.path("card") + "/latest", run.path("resumed") + "/latest"),
            (std::vector<std::string>{}));
}

}  // namespace
}  // namespace hadal::test
