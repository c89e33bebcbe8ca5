#include <gtest/gtest.h>

#include "hadal/pipeline/simulator.h"
#include "hadal/schedule/schedule_file.h"

namespace hadal {
namespace {

// Stage 1 is on rank 2: what rank 0 sends there passes both links, and the slower one counts. A tensor
// takes 3 over the first and 2 over the second.
//   rank 0  F 0-1 ...................... B 15-16
//   rank 1  ............. F 7-8  B 8-9 .........
//   rank 2  ...... F 4-5 ........... B 11-12 ...
TEST(FarTransfers, TheSlowestLinkOnTheWayCounts) {
  const PipelineSchedule schedule = parse_schedule(
      R"({"n_stages": 3, "n_micro_batches": 1,
          "ranks": [["F 0 0", "B 0 0"], ["F 2 0", "B 2 0"], ["F 1 0", "B 1 0"]]})",
      "test");
  PipelineTimes times;
  times.stages = {{1, 1, 0}};
  times.bytes = 6;
  times.bandwidth = {2, 3};
  EXPECT_EQ(simulate(schedule, times).makespan, 16);
  times.bandwidth = {3,
                     2};  // the second is the slower one; there and back between ranks 1 and 2, too
  EXPECT_EQ(simulate(schedule, times).makespan, 18);
}

}  // namespace
}  // namespace hadal
