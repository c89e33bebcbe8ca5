#include "hadal/pipeline/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PipelineInputs, ListsOfTimes) {
  EXPECT_THAT(parse_times("2.5", "forward"), ElementsAre(2.5));
  EXPECT_THAT(parse_times("1,0,1e-3", "forward"), ElementsAre(1, 0, 1e-3));
  for (const char* wrong : {"", "x", "1,", ",1", "1;2", "-1", "nan", "inf", "1e999", "1 "}) {
    SCOPED_TRACE(wrong);
    test::expect_refused<ConfigError>([&] { parse_times(wrong, "forward"); },
                                      "forward: not a time (found ");
  }
  test::expect_refused<ConfigError>([&] { parse_time("1,2", "latency"); },
                                    "latency: one number, not a list");
}

TEST(PipelineInputs, TheWholeBackwardSplitsIntoInputAndWeight) {
  PipelineInputs inputs;
  inputs.forward = {1, 2};
  inputs.backward = {3};
  inputs.weight = {1, 0.5};
  const PipelineTimes times = pipeline_times(inputs, 2, 2);
  ASSERT_EQ(times.stages.size(), 2u);
  EXPECT_EQ(times.stages[0].backward_input, 2);
  EXPECT_EQ(times.stages[1].backward_input, 2.5);
  EXPECT_EQ(times.stages[1].backward(), 3);
  inputs.weight = {1, 3.5};
  test::expect_refused<ConfigError>([&] { pipeline_times(inputs, 2, 2); },
                                    "weight: longer than the backward it is a part of");
  inputs.weight = {1, 1, 1};
  test::expect_refused<ConfigError>([&] { pipeline_times(inputs, 2, 2); },
                                    "weight: wrong number of values");
}

TEST(PipelineInputs, AnOverlappedPairIsATimeOrAShareOfTheMeanPair) {
  PipelineInputs inputs;
  inputs.overlapped = 2.4;
  EXPECT_EQ(pipeline_times(inputs, 4, 4).pair, 2.4);
  inputs.forward = {1, 1, 1, 2};  // mean F + B = 3.25
  const PipelineTimes uneven = pipeline_times(inputs, 4, 4);
  EXPECT_FALSE(uneven.pair.has_value());
  EXPECT_DOUBLE_EQ(uneven.pair_share, 2.4 / 3.25);
}

TEST(PipelineInputs, LayersAndTheirAllToAllMakeChunks) {
  PipelineInputs inputs;  // of one layer: F 1, B_in 1, W 1
  inputs.layers = {4, 3};
  inputs.all_to_all = {0.5};
  inputs.overlap_efficiency = 0.8;
  const PipelineTimes times = pipeline_times(inputs, 2, 2);
  EXPECT_EQ(times.stages[0].forward, 6);  // 4 (1 + 0.5)
  EXPECT_EQ(times.stages[0].weight, 4);
  EXPECT_EQ(times.stages[1].backward_input, 4.5);  // 3 (1 + 0.5)
  // Of a layer C = 3 and X = 1: max(3, 1) + 0.2 x 1 of 4.
  EXPECT_DOUBLE_EQ(times.pair_share, 3.2 / 4);
  EXPECT_THAT(inputs.summary(), HasSubstr("all-to-all 0.5 each way, times 3 to 4 layers"));
  inputs.overlapped = 2;  // would say the pair's time twice
  test::expect_refused<ConfigError>([&] { pipeline_times(inputs, 2, 2); },
                                    "overlapped: given beside all_to_all, which determines it");
  inputs.overlapped.reset();
  inputs.overlap_efficiency = 1.5;
  test::expect_refused<ConfigError>([&] { pipeline_times(inputs, 2, 2); },
                                    "overlap_efficiency: out of range");
  inputs.overlap_efficiency = 1;
  inputs.layers = {1, 2, 3};
  test::expect_refused<ConfigError>([&] { pipeline_times(inputs, 2, 2); },
                                    "layers: wrong number of values");
}

TEST(PipelineInputs, AFileSaysTheSameInTomlAndJson) {
  const test::TemporaryFolder folder;
  const std::string toml = folder.write("times.toml",
                                        "forward = [1, 2]  # per stage\nbackward = 3\n"
                                        "overlapped = 2.5\nlatency = 0.25\nblocking = true\n");
  const std::string json = folder.write(
      "times.json",
      R"({"forward": [1, 2], "backward": 3, "overlapped": 2.5, "latency": 0.25, "blocking": true})");
  for (const std::string& path : {toml, json}) {
    PipelineInputs inputs;
    read_pipeline_inputs(path, inputs);
    EXPECT_THAT(inputs.forward, ElementsAre(1, 2));
    EXPECT_THAT(inputs.backward, ElementsAre(3));
    EXPECT_THAT(inputs.weight, ElementsAre(1));  // not in the file
    EXPECT_EQ(inputs.overlapped, 2.5);
    EXPECT_EQ(inputs.latency, 0.25);
    EXPECT_TRUE(inputs.blocking);
  }
}

TEST(PipelineInputs, AWrongFileIsAFormatErrorThatNamesTheKey) {
  const test::TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {R"({"forwrad": 1})", "did you mean forward?"},
      {R"({"forward": "1"})", "forward: not a time"},
      {R"({"weight": [1, -2]})", "weight[1]: not a time"},
      {R"({"backward": []})", "backward: empty"},
      {R"({"blocking": 1})", "blocking: expected true or false"},
      {R"([1, 2])", "not a table of times"},
      {R"({"forward": 1)", "times.json"},
  };
  for (const auto& [text, message] : cases) {
    PipelineInputs inputs;
    try {
      read_pipeline_inputs(folder.write("times.json", text), inputs);
      ADD_FAILURE() << text;
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }
}

}  // namespace
}  // namespace hadal
