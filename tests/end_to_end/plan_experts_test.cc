// `hadal plan experts` through the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"
#include "tests/support/small_run.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using testing::expect_refused;
using ::testing::HasSubstr;
using testing::run_hadal;
using testing::RunResult;

RunResult plan_experts(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"plan", "experts"});
  return run_hadal(arguments);
}

TEST(PlanExperts, ReproducesThePublishedPlacement) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("loads.json",
                                        "[[90,132,40,61,104,165,39,4,73,56,183,86],"
                                        "[20,107,104,64,19,197,187,157,172,86,16,27]]");
  const std::string out = folder / "placement.json";
  const RunResult result = plan_experts({"--load", file, "--groups", "4", "--gpus", "8", "--nodes",
                                         "2", "--redundant", "4", "--json", "--out", out});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  EXPECT_EQ(json.at("policy").as_string(), "hierarchical");
  EXPECT_EQ(json.at("phy2log").dump(),
            "[[5,6,5,7,8,4,3,4,10,9,10,2,0,1,11,1],[7,10,6,8,6,11,8,9,2,4,5,1,5,0,3,1]]");
  EXPECT_EQ(parse_json_file(out), json);
}

TEST(PlanExperts, WorksWithoutAFileAndDraws) {
  const test::TemporaryFolder folder;
  const std::string svg = folder / "experts.svg";
  const RunResult result = plan_experts({"--zipf", "0.8", "--seed", "3", "--svg", svg});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("58 layers of 256 experts, load: Zipf 0.8, seed 3"));
  EXPECT_THAT(result.out, HasSubstr("32 GPUs on 4 nodes, 288 replicas per layer: 9 per GPU"));
  EXPECT_THAT(result.out, HasSubstr("hierarchical: 8 groups of experts, 2 whole on each node"));
  EXPECT_THAT(test::read_bytes(svg), HasSubstr("</svg>"));
  EXPECT_EQ(plan_experts({"--zipf", "0.8", "--seed", "3"}).out, result.out);
  const RunResult decode = plan_experts({"--zipf", "0.8", "--gpus", "144"});
  EXPECT_THAT(decode.out, HasSubstr("144 GPUs on 18 nodes, 288 replicas per layer: 2 per GPU"));
  EXPECT_THAT(decode.out, HasSubstr("global"));
}

TEST(PlanExperts, ReadsTheLoadOfARun) {
  const test::SmallRun small;
  small.train("run");
  for (const char* path : {"run", "run/metrics.jsonl"}) {
    const RunResult result =
        plan_experts({"--load", small.path(path), "--last", "2", "--gpus", "2", "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json json = parse_json(result.out, "stdout");
    EXPECT_EQ(json.at("experts").as_integer(), 8);
    EXPECT_EQ(json.at("groups").as_integer(), 2) << "from the run's own config.json";
    EXPECT_THAT(json.at("load").as_string(), HasSubstr("mean of 2 records, steps 6 to 8"));
  }
}

TEST(PlanExperts, JudgesARunOnRecordsThatThePlacementDoesNotKnow) {
  const test::SmallRun small;
  small.train("run");
  const RunResult result = plan_experts({"--load", small.path("run"), "--last", "1", "--skip", "1",
                                         "--judge", small.path("run"), "--gpus", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("mean of 1 records, steps 6 to 6\njudged on: "));
  EXPECT_THAT(result.out, HasSubstr("mean of 1 records, steps 8 to 8\n"));
  EXPECT_THAT(result.out, HasSubstr("the same, shares by program"));
  EXPECT_THAT(result.out, HasSubstr("the same, tokens by program"));
}

TEST(PlanExperts, WrongInputIsOneLineAndExitCodeTwo) {
  const test::TemporaryFolder folder;
  const std::string good = folder.write("good.json", "[[1,2,3,4]]");
  const std::string ragged = folder.write("ragged.json", "[[1,2],[1]]");
  const std::string key = folder.write("key.json", "{\"lod\":[[1]]}");
  const std::string negative = folder.write("negative.json", "[[1,-2]]");
  const std::string huge = folder.write("huge.json", "[[1e999,1]]");
  const std::string deep = folder.write("deep.json", std::string(100000, '['));
  const std::string binary = folder.write("binary.json", std::string("\x00\xff\x1b[31m", 7));
  folder.write("metrics.jsonl", "{\"step\":1}\n");
  const std::vector<testing::Refused> cases = {
      {{}, "--load: which load?"},
      {{"--zipf", "1", "--load", good}, "--load: which load?"},
      {{"--load", folder / "absent.json"}, folder / "absent.json: cannot be read"},
      {{"--load", ragged}, folder / "ragged.json: layers differ in their experts"},
      {{"--load", key}, folder / "key.json: unknown key"},
      {{"--load", negative}, folder / "negative.json: not a load"},
      {{"--load", huge}, folder / "huge.json: line 1, column 7: not valid JSON"},
      {{"--load", deep}, folder / "deep.json: not valid JSON"},
      {{"--load", binary}, folder / "binary.json: line 1, column 1: not valid JSON"},
      {{"--load", folder.path()}, folder / "metrics.jsonl: no record of the experts' load"},
      {{"--load", good, "--experts", "4"}, "--experts: only with --zipf"},
      {{"--load", good, "--gpus", "3", "--redundant", "1"}, "--replicas: unequal GPUs"},
      {{"--load", good, "--gpus", "0"}, "--gpus: out of range (found 0"},
      {{"--load", good, "--gpus", "nan"}, "--gpus: not a number here"},
      {{"--load", good, "--gpus", "4", "--nodes", "3"}, "--nodes: unequal nodes"},
      {{"--load", good, "--groups", "3"}, "--groups: unequal groups"},
      {{"--load", good, "--replicas", "2"}, "--replicas: too few"},
      {{"--load", good, "--redundant", "-1"}, "--redundant: negative"},
      {{"--load", good, "--redundant", "9223372036854775807"}, "--replicas: too many"},
      {{"--load", good, "--replicas", "8", "--redundant", "4"}, "--redundant: given beside"},
      {{"--load", folder.path(), "--last", "0"}, "--last: out of range"},
      {{"--load", folder.path(), "--skip", "-1"}, "--skip: out of range"},
      {{"--load", good, "--judge", ragged}, folder / "ragged.json: layers differ"},
      {{"--load", good, "--gpus", "2", "--judge", folder.write("other.json", "[[1,2]]")},
       folder / "other.json: loads of other layers or experts"},
      {{"--load", good, "--gpus", "4", "--nodes", "2", "--policy", "hierarchical"},
       "--policy: hierarchical placement needs whole groups"},
      {{"--load", good, "--policy", "globl"}, "--policy: unknown value"},
      {{"--zipf", "nan"}, "--zipf"},
      {{"--zipf", "-1"}, "--zipf: out of range"},
      {{"--zipf", "1", "--layers", "0"}, "--layers: out of range"},
      {{"--zipf", "1", "--experts", "1000000000000"}, "--experts: out of range"},
      {{"--zipf", "1", "--model", "deepseek-v33"}, "deepseek-v3"},
      {{"--zipf", "1", "--repicas", "4"},
       "--repicas: hadal plan experts has no such option",
       "did you mean --replicas?"},
  };
  expect_refused(cases, {"plan", "experts"});
}

TEST(PlanExperts, AnUnwritableFileFailsWithoutAResult) {
  expect_refused({{{"plan", "experts", "--zipf", "1", "--out", "/no/such/folder/plan.json"},
                   "/no/such/folder/plan.json: cannot be created",
                   "",
                   1}});
}

}  // namespace
}  // namespace hadal
