#include "hadal/parallel/first_report.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <set>

#include "hadal/comm/thread_ranks.h"
#include "hadal/core/error.h"

namespace hadal {
namespace {

// What four ranks agree on: "RANK: TEXT" or "nothing".
std::set<std::string> agreed(const std::vector<std::optional<RankReport>>& reports) {
  std::vector<std::unique_ptr<Arena>> arenas;
  for (size_t i = 0; i < reports.size(); ++i) arenas.push_back(std::make_unique<Arena>());
  std::mutex mutex;
  std::set<std::string> said;
  run_thread_ranks({.n_ranks = static_cast<int>(reports.size())}, [&](Communicator& comm) {
    const auto rank = static_cast<size_t>(comm.rank());
    const auto first = first_report(comm, reports[rank], *arenas[rank]);
    const std::lock_guard lock(mutex);
    said.insert(first ? concat(first->rank, ": ", first->text) : "nothing");
  });
  return said;
}

TEST(FirstReport, IsTheSameOnAllRanks) {
  using Said = std::set<std::string>;
  EXPECT_EQ(agreed({{}, {}, {}}), Said({"nothing"}));
  EXPECT_EQ(agreed({{}, RankReport{0, "b"}, RankReport{0, "c"}}), Said({"1: b"}));
  EXPECT_EQ(agreed({RankReport{1, "a consequence"}, {}, RankReport{0, "a cause"}}),
            Said({"2: a cause"}));
  EXPECT_EQ(agreed({RankReport{0, ""}}), Said({"0: "}));
}

}  // namespace
}  // namespace hadal
