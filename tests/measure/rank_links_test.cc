#include "hadal/measure/rank_links.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/comm/thread_ranks.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

TEST(RankLinks, AreNoFasterThanTheNetwork) {
  Arena arena;
  const SlowLink link{.latency_seconds = 2e-3, .bytes_per_second = 1e9};
  run_thread_ranks({.n_ranks = 3, .link = link}, [&](Communicator& comm) {
    const std::vector<RankLink> links = measure_rank_links(comm, arena);
    ASSERT_EQ(links.size(), comm.rank() == 0 ? 2U : 0U);
    for (size_t i = 0; i < links.size(); ++i) {
      EXPECT_EQ(links[i].from, static_cast<int>(i));
      EXPECT_EQ(links[i].to, static_cast<int>(i) + 1);
      EXPECT_GE(links[i].latency_seconds, 2e-3);
      EXPECT_LE(links[i].bytes_per_second, 1e9);
      EXPECT_GT(links[i].bytes_per_second, 0);
    }
  });
}

TEST(RankLinks, RankZeroTellsOfAll) {
  Arena arena;
  run_thread_ranks({.n_ranks = 3}, [&](Communicator& comm) {
    const std::vector<Check> checks = examine_ranks(comm, 1 + comm.rank(), arena);
    ASSERT_EQ(checks.size(), comm.rank() == 0 ? 3U : 0U);
    if (comm.rank() != 0) return;
    EXPECT_THAT(checks[0].found, HasSubstr("3: 0-2 on "));
    EXPECT_THAT(checks[0].found, HasSubstr("threads of each 1 to 3"));
    EXPECT_EQ(checks[1].name, "link 0-1");
    EXPECT_EQ(checks[2].name, "link 1-2");
    EXPECT_THAT(checks[2].found, HasSubstr("GB/s"));
  });
}

TEST(RankLinks, OneRankHasNone) {
  Arena arena;
  run_thread_ranks({.n_ranks = 1}, [&](Communicator& comm) {
    EXPECT_EQ(examine_ranks(comm, 1, arena).size(), 1U);
  });
}

}  // namespace
}  // namespace hadal
