#include "hadal/train/run_load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"
#include "tests/support/small_run.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Three records among lines without one; the last line was cut off.
constexpr const char* kMetrics =
    "{\"step\":1,\"moe/load\":[[],[9,1]]}\n"
    "{\"step\":2}\n"
    "{\"step\":10,\"moe/load\":[[],[4,2]]}\n"
    "{\"step\":20,\"moe/load\":[[],[2,6]]}\n"
    "{\"step\":30,\"moe/load\":[[],[100,";

TEST(RunLoad, AveragesTheLastRecords) {
  const test::TemporaryFolder folder;
  folder.write("metrics.jsonl", kMetrics);
  const RunLoad two = read_run_load(folder.path(), 2);
  EXPECT_THAT(two.rows, ElementsAre(IsEmpty(), ElementsAre(3, 4)));
  EXPECT_EQ(two.n_records, 2);
  EXPECT_EQ(two.first_step, 10);
  EXPECT_EQ(two.last_step, 20);
  const RunLoad all = read_run_load(folder.path(), 1000);
  EXPECT_EQ(all.n_records, 3);
  EXPECT_THAT(all.rows[1], ElementsAre(5, 3));
  const RunLoad before = read_run_load(folder.path(), 1, 1);
  EXPECT_EQ(before.last_step, 10);
  EXPECT_THAT(before.rows[1], ElementsAre(4, 2));
  test::expect_refused<FormatError>([&] { read_run_load(folder.path(), 1, 3); },
                                    "no record of the experts' load");
}

TEST(RunLoad, ReadsWhatTrainingWrites) {
  const test::SmallRun small;
  small.train("run");  // 8 steps of 4 x 24 tokens, a record every second step
  const RunLoad run = read_run_load(small.path("run"), 3);
  EXPECT_EQ(run.n_records, 3);
  EXPECT_EQ(run.last_step, 8);
  EXPECT_EQ(run.first_step, 4);
  for (const std::vector<double>& row : run.rows) {
    if (row.empty()) continue;
    double tokens = 0;
    for (const double load : row) tokens += load;
    EXPECT_EQ(row.size(), 8U);
    EXPECT_GT(tokens, 0);
    EXPECT_LE(tokens, 4 * 24 * 2) << "each token goes to two experts";
  }
}

TEST(RunLoad, RefusesInOneLineThatNamesTheFile) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "no record of the experts' load"},
      {"{\"step\":1}\n", "no record of the experts' load"},
      {"{\"step\":1,\"moe/load\":[[1]]}\n{\"step\":2,\"moe/load\":[[1,2]]}\n", "another shape"},
      {"{\"step\":1,\"moe/load\":[[\"x\"]]}\n", "expected number"},
      {"{\"step\":1,\"moe/load\":3}\n", "expected array"},
      {"{\"step\":\"x\",\"moe/load\":[[1]]}\n", "expected integer"},
      {"not JSON\n", "not valid JSON"},
  };
  for (const auto& [text, expected] : cases) {
    const test::TemporaryFolder folder;
    const std::string path = folder.write("metrics.jsonl", text);
    try {
      read_run_load(folder.path(), 10);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), HasSubstr(expected));
      EXPECT_THAT(error.what(), HasSubstr(path));
    }
  }
  const test::TemporaryFolder empty;
  test::expect_refused<FormatError>([&] { read_run_load(empty.path(), 10); },
                                    "metrics.jsonl: no record of the experts' load");
  test::expect_refused<ConfigError>([&] { read_run_load(empty.path(), 0); },
                                    "n_records: out of range");
  test::expect_refused<ConfigError>([&] { read_run_load(empty.path(), 1, -1); },
                                    "n_skipped: out of range");
}

}  // namespace
}  // namespace hadal
