// `hadal pipeline` as scripts and people use it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<std::string> sized(const std::string& schedule, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"pipeline", "--schedule",      schedule, "--stages",
                                        "8",        "--micro-batches", "20"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Json json_of(std::vector<std::string> arguments) {
  arguments.push_back("--json");
  const RunResult result = run_hadal(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return parse_json(result.out, "stdout");
}

std::vector<double> numbers(const Json& list) {
  std::vector<double> values;
  for (const Json& item : list.as_array()) values.push_back(item.as_number());
  return values;
}

TEST(PipelineCommand, JsonHasThePublishedFigures) {
  struct Row {
    const char* schedule;
    double makespan, bubble, peak;
    size_t ranks;
    double copies;
  };
  // docs/pipeline.md, "The six schedules"; DualPipeV runs 8 stages on 4 ranks: 20 * 2 * 3 + (4 - 1) * 2.
  for (const Row& row : {Row{"1f1b", 81, 21, 8, 8, 1}, Row{"zb1p", 67, 7, 8, 8, 1},
                         Row{"dualpipe", 66, 6, 9, 8, 2}, Row{"dualpipev", 126, 6, 9, 4, 1},
                         Row{"interleaved", 127, 7, 12, 4, 1}, Row{"zbv", 123, 3, 8, 4, 1}}) {
    SCOPED_TRACE(row.schedule);
    const Json json =
        json_of(sized(row.schedule, {"--forward", "1", "--backward", "2", "--weight", "1"}));
    EXPECT_EQ(json.at("makespan").as_number(), row.makespan);
    EXPECT_EQ(json.at("bubble").as_number(), row.bubble);
    EXPECT_THAT(numbers(json.at("bubble_per_rank")), AllOf(SizeIs(row.ranks), Each(row.bubble)));
    EXPECT_THAT(numbers(json.at("peak_activations_per_rank")), SizeIs(row.ranks));
    EXPECT_EQ(numbers(json.at("peak_activations_per_rank"))[0], row.peak);
    EXPECT_EQ(json.at("parameter_copies").as_number(), row.copies);
    EXPECT_EQ(json.at("bubble_formula").at("value").as_number(), row.bubble);
    EXPECT_TRUE(json.at("bubble_formula").at("applies").as_bool());
    EXPECT_TRUE(json.at("checked").as_bool());
  }
}

TEST(PipelineCommand, BackwardIsTheWholeBackward) {
  // 1F1B: (M + PP - 1)(F + B), whatever part of B is W; ZB1P: the bubble is 7 (F + B - 2W).
  const Json whole = json_of(sized("1f1b", {"--backward", "4", "--weight", "0.5"}));
  EXPECT_EQ(whole.at("makespan").as_number(), 27 * 5);
  const Json zb1p = json_of(sized("zb1p", {"--backward", "4", "--weight", "0.5"}));
  EXPECT_EQ(zb1p.at("bubble").as_number(), 7 * 4);
}

TEST(PipelineCommand, AShorterPairAndSlowerTransfersMoveTheMakespan) {
  const double plain = json_of(sized("dualpipe")).at("makespan").as_number();
  const double paired =
      json_of(sized("dualpipe", {"--overlapped", "2.4"})).at("makespan").as_number();
  const double slow = json_of(sized("dualpipe", {"--comm", "0.25"})).at("makespan").as_number();
  EXPECT_LT(paired, plain);
  EXPECT_GT(slow, plain);
  // 1F1B with a transfer of C: by hand, two stages and one micro-batch: F C F B C B.
  const Json two = json_of({"pipeline", "--schedule", "1f1b", "--stages", "2", "--micro-batches",
                            "1", "--latency", "0.5", "--bytes", "6", "--bandwidth", "4"});
  EXPECT_EQ(two.at("makespan").as_number(), 2 * (1 + 2 + 2));
}

TEST(PipelineCommand, UnevenStagesFromOptionsAndFromAFile) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("times.toml", "forward = [1, 1, 3, 1]\n");
  const std::vector<std::string> base = {"pipeline", "--schedule",      "1f1b", "--stages",
                                         "4",        "--micro-batches", "30"};
  std::vector<std::string> by_option = base, by_file = base;
  by_option.insert(by_option.end(), {"--forward", "1,1,3,1"});
  by_file.insert(by_file.end(), {"--stage-times", file});
  const Json option = json_of(by_option);
  EXPECT_EQ(option, json_of(by_file));
  // Stage 2 is the bottleneck: 30 (F + B) = 150, after two F that fill it, before two B behind it.
  EXPECT_GE(option.at("makespan").as_number(), 150 + 2 + 2 * 2);
  EXPECT_EQ(numbers(option.at("busy_per_rank"))[2], 150);
  by_file.insert(by_file.end(), {"--forward", "1"});  // an option goes before the file
  EXPECT_EQ(json_of(by_file).at("makespan").as_number(), (30 + 3) * 3);
}

TEST(PipelineCommand, CompareShowsAllSixAndSaysWhichIsImpossible) {
  const Json all = json_of(sized("1f1b", {"--compare"}));
  ASSERT_THAT(all.at("comparison").as_array(), SizeIs(6));
  EXPECT_EQ(all.at("comparison").as_array()[2].at("makespan").as_number(), 66);
  const Json odd = json_of({"pipeline", "--compare", "--stages", "7", "--micro-batches", "20"});
  EXPECT_THAT(odd.at("comparison").as_array(), SizeIs(2));
  EXPECT_THAT(odd.at("not_possible").as_array(), SizeIs(4));
  EXPECT_THAT(odd.at("not_possible").as_array()[0].at("reason").as_string(),
              HasSubstr("n_stages: "));
  const RunResult text = run_hadal(sized("1f1b", {"--compare"}));
  EXPECT_THAT(text.out, AllOf(HasSubstr("1F1B"), HasSubstr("25.9 %"), HasSubstr("DualPipeV")));
}

// Eight ranks and one model for all: where a rank passes two stages, a chunk is half of the work.
TEST(PipelineCommand, CompareAtEqualRanksDividesTheSameWork) {
  const Json all = json_of(
      {"pipeline", "--compare", "--ranks", "8", "--micro-batches", "24", "--stages-per-rank", "4"});
  ASSERT_THAT(all.at("comparison").as_array(), SizeIs(6));
  const std::vector<std::pair<std::string, double>> bubbles = {
      {"1f1b", 21},     {"zb1p", 7},           {"dualpipe", 6},
      {"dualpipev", 7}, {"interleaved", 3.75}, {"zbv", 3.5}};  // 7 x 2 / 2; (7 x 2 + 1) / 4; 7 / 2
  for (size_t i = 0; i < bubbles.size(); ++i) {
    const Json& result = all.at("comparison").as_array()[i];
    EXPECT_EQ(result.at("schedule").as_string(), bubbles[i].first);
    EXPECT_THAT(numbers(result.at("busy_per_rank")), AllOf(SizeIs(8), Each(72)));
    EXPECT_DOUBLE_EQ(result.at("bubble").as_number(), bubbles[i].second) << bubbles[i].first;
  }
}

TEST(PipelineCommand, TextShowsCausesAndASmallTimeline) {
  const RunResult result = run_hadal(sized("dualpipe"), "", {"COLUMNS=80"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("rank 0: 1, rank 2: 4"));
  EXPECT_THAT(result.out, HasSubstr("formula (PP/2 - 1)(F&B + B - 3W) = 6\n"));
  // Rank 0 of the published example: 7 F0, F1, (Bi1 W F1) x 3, then pairs.
  EXPECT_THAT(result.out, HasSubstr("rank 0   FFFFFFFfiwfiwfiwfXXX"));
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);  // no colours into a pipe
  const RunResult narrow = run_hadal(sized("dualpipe"), "", {"COLUMNS=60"});
  EXPECT_THAT(narrow.out, ::testing::Not(HasSubstr("FFFFFFF")));
}

TEST(PipelineCommand, WritesPictureTraceAndScheduleFile) {
  const test::TemporaryFolder folder;
  const Json json =
      json_of(sized("dualpipev", {"--svg", folder / "a.svg", "--trace", folder / "a.json",
                                  "--write-schedule", folder / "own.json"}));
  EXPECT_EQ(json.at("svg").as_string(), folder / "a.svg");
  EXPECT_THAT(test::read_bytes(folder / "a.svg"), HasSubstr("DualPipeV, 8 stages on 4 ranks"));
  const Json trace = parse_json(test::read_bytes(folder / "a.json"), "trace");
  EXPECT_GT(trace.at("traceEvents").as_array().size(), 100u);
  EXPECT_THAT(folder.names(), SizeIs(3));  // no temporary file is left
  // The schedule comes back the same.
  const Json own = json_of({"pipeline", "--schedule-file", folder / "own.json"});
  for (const char* field : {"makespan", "bubble_per_rank", "peak_activations_per_rank"}) {
    EXPECT_EQ(own.at(field), json.at(field)) << field;
  }
}

TEST(PipelineCommand, PairsHideTheAllToAllThatLoneChunksExpose) {
  const auto makespan = [](const std::string& schedule, const std::string& efficiency) {
    return json_of({"pipeline", "--schedule", schedule, "--stages", "4", "--micro-batches", "40",
                    "--all-to-all", "0.5", "--overlap-efficiency", efficiency})
        .at("makespan")
        .as_number();
  };
  // 1F1B overlaps nothing: (M + P - 1)(F + B) with F + B = 3 + 2 x 0.5.
  EXPECT_DOUBLE_EQ(makespan("1f1b", "1"), 43 * 4);
  EXPECT_DOUBLE_EQ(makespan("1f1b", "0"), 43 * 4);
  EXPECT_LT(makespan("dualpipe", "1"), makespan("dualpipe", "0.5"));
  EXPECT_LT(makespan("dualpipe", "0.5"), makespan("dualpipe", "0"));
}

TEST(PipelineCommand, AWrongScheduleFailsWithAllItsFaults) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("wrong.json", R"({"n_stages": 2, "n_micro_batches": 1,
                        "ranks": [["F 0 0", "B 0 0"], ["B 1 0", "F 1 0"]]})");
  const RunResult text = run_hadal({"pipeline", "--schedule-file", file});
  EXPECT_EQ(text.exit_code, 2);
  EXPECT_THAT(text.err, HasSubstr("wrong.json: not a correct schedule: "));
  EXPECT_THAT(text.out, HasSubstr("rank 1, action 0"));
  const RunResult json = run_hadal({"pipeline", "--schedule-file", file, "--json"});
  EXPECT_EQ(json.exit_code, 2);
  const Json document = parse_json(json.out, "stdout");
  EXPECT_FALSE(document.at("checked").as_bool());
  EXPECT_FALSE(document.at("violations").as_array().empty());
}

TEST(PipelineCommand, ActionsAreTheSpecsList) {
  const RunResult result = run_hadal(
      {"pipeline", "--schedule", "1f1b", "--stages", "2", "--micro-batches", "2", "--actions"});
  EXPECT_THAT(result.out, HasSubstr("rank 1: recv a 0 0 <- 0, F 1 0, B 1 0, send g 1 0 -> 0"));
}

TEST(PipelineCommand, WrongInputIsOneLineThatNamesTheOption) {
  const test::TemporaryFolder folder;
  const std::vector<Refused> cases = {
      {{"--schedule", "dualpipe", "--stages", "7", "--micro-batches", "20"}, "--stages: "},
      {{"--schedule", "dualpipe", "--stages", "8", "--micro-batches", "14"}, "--micro-batches: "},
      {{"--schedule", "dualpipe", "--stages", "8", "--micro-batches", "21"}, "--micro-batches: "},
      {{"--schedule", "dualpip"}, "--schedule: unknown value", "did you mean dualpipe?"},
      {{"--stages", "0"}, "--stages: out of range (found 0"},
      {{"--stages", "-4"}, "--stages: out of range"},
      {{"--stages", "4000000000"}, "--stages: out of range"},
      {{"--stages", "30000", "--micro-batches", "9000000"}, "--micro-batches: "},
      {{"--micro-batches", "99999999999"}, "--micro-batches: out of range"},
      {{"--schedule", "interleaved", "--stages", "7"},
       "--stages-per-rank: the stages do not divide into ranks (found 2 of 7 stages on each rank"},
      {{"--schedule", "zbv", "--stages", "7"}, "--stages: zbv pairs the stages (found 7"},
      {{"--stages-per-rank", "0"}, "--stages-per-rank: out of range (found 0"},
      {{"--compare", "--ranks", "-1"}, "--ranks: out of range (found -1"},
      {{"--ranks", "4"}, "--ranks: sets the ranks of the schedules compared (found no --compare"},
      {{"--forward", "-1"}, "--forward: not a time (found \"-1\""},
      {{"--forward", "nan"}, "--forward: not a time"},
      {{"--backward", "inf"}, "--backward: not a time"},
      {{"--weight", "1e400"}, "--weight: not a time"},
      {{"--weight", "3"}, "--weight: longer than the backward"},
      {{"--forward", "1,2,3"}, "--forward: wrong number of values (found 3, expected 1 or 8)"},
      {{"--forward", "1e308"}, "stage times: the whole step overflows"},
      {{"--bandwidth", "1,2"}, "--bandwidth: wrong number of values"},
      {{"--comm", "1,2"}, "--comm: one number"},
      {{"--zoom", "5", "--svg", folder / "x.svg"}, "--zoom: not a part of the time"},
      {{"--zoom", "900:901", "--svg", folder / "x.svg"}, "--zoom: nothing there", "", 2, true},
      {{"--zoom", "5:6"}, "--zoom: there is no picture"},
      {{"--compare", "--actions"}, "--actions: shows one schedule"},
      {{"--stage-times", folder / "absent.toml"}, folder / "absent.toml: cannot be read"},
      {{"--schedule-file", folder / "absent.json"}, folder / "absent.json: cannot be read"},
      {{"--svg", folder / "no/such/folder.svg"},
       folder / "no/such/folder.svg: cannot be created",
       "",
       1,
       true},
      {{"--trace", folder.path()}, folder.path() + ": ", "", 1, true},
  };
  expect_refused(cases, {"pipeline"});
  EXPECT_THAT(folder.names(), SizeIs(0));
}

}  // namespace
}  // namespace hadal::testing
