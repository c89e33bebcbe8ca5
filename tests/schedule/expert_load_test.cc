#include "hadal/schedule/expert_load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ExpertLoad, ReadsAListPerLayer) {
  const test::TemporaryFolder folder;
  const LayerLoads loads =
      read_layer_loads(folder.write("loads.json", "[[], [1, 2.5], [0, 4], []]"));
  EXPECT_THAT(loads.load, ElementsAre(ElementsAre(1, 2.5), ElementsAre(0, 4)));
  // Empty rows are dense layers: the others keep their numbers.
  EXPECT_THAT(loads.layers, ElementsAre(1, 2));
}

TEST(ExpertLoad, ReadsAnObjectWithTheNumbersOfLayers) {
  const test::TemporaryFolder folder;
  const LayerLoads loads = read_layer_loads(
      folder.write("loads.json", R"({"layers": [3, 4, 9], "load": [[1, 2], [], [5, 6]]})"));
  EXPECT_THAT(loads.load, ElementsAre(ElementsAre(1, 2), ElementsAre(5, 6)));
  EXPECT_THAT(loads.layers, ElementsAre(3, 9));
}

TEST(ExpertLoad, RefusesInOneLineThatNamesTheFile) {
  const test::TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {"", "not valid JSON"},
      {"[[1, 2], [3]", "not valid JSON"},
      {"[[1, 1e999]]", "not valid JSON"},
      {"[]", "no expert's load"},
      {"[[], []]", "no expert's load"},
      {"7", "not a table of loads (found integer"},
      {"{}", "no loads"},
      {"[1, 2]", "row 0 is not a layer's loads (found integer"},
      {"[[1, 2], \"x\"]", "row 1 is not a layer's loads (found string"},
      {"[[1, null]]", "not a load (found null for expert 1 in row 0"},
      {"[[1, NaN]]", "not valid JSON"},
      {"[[1, -1]]", "not a load (found -1 for expert 1 in row 0"},
      {"[[1, 2], [3]]", "layers differ in their experts"},
      {"[[1e308, 1e308]]", "loads too large"},
      {R"({"loads": [[1]]})",
       "unknown key (found \"loads\", expected load or layers); did you mean"},
      {R"({"load": [[1]], "load": [[1]]})", "duplicate key"},
      {R"({"load": [[1]], "layers": [1, 2]})", "layers: not the numbers of the rows"},
      {R"({"load": [[1], [1]], "layers": [2, 1]})", "layers: not the numbers of the rows"},
      {R"({"load": [[1]], "layers": [-1]})", "layers: not the numbers of the rows"},
      {R"({"load": [[1]], "layers": [1.5]})", "layers: not the numbers of the rows"},
      {R"({"load": [[1]], "layers": 3})", "layers: not the numbers of the rows"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string path = folder.write("wrong.json", text);
    try {
      read_layer_loads(path);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2) << text;
      EXPECT_THAT(error.what(), HasSubstr(expected)) << text;
      EXPECT_THAT(error.what(), HasSubstr(path)) << text;
    }
  }
  test::expect_refused<FormatError>([&] { read_layer_loads(folder / "absent.json"); },
                                    (folder / "absent.json") + ": cannot be read (");
}

TEST(ExpertLoad, ZipfHasTheRightSharesInAnOrderPerLayer) {
  const LayerLoads loads = zipf_layer_loads(3, 4, 1.0, 5);
  EXPECT_THAT(loads.layers, ElementsAre(0, 1, 2));
  for (std::vector<double> layer : loads.load) {
    std::sort(layer.rbegin(), layer.rend());
    // 1, 1/2, 1/3, 1/4 over their mean 25/48
    EXPECT_NEAR(layer[0], 48.0 / 25, 1e-12);
    EXPECT_NEAR(layer[1], 24.0 / 25, 1e-12);
    EXPECT_NEAR(layer[2], 16.0 / 25, 1e-12);
    EXPECT_NEAR(layer[3], 12.0 / 25, 1e-12);
  }
  const auto other = [](uint64_t seed) { return zipf_layer_loads(2, 64, 1.0, seed).load; };
  EXPECT_EQ(other(1), other(1));
  EXPECT_NE(other(1), other(2));
  EXPECT_NE(other(1)[0], other(1)[1]);
  EXPECT_THAT(zipf_layer_loads(1, 3, 0.0, 0).load[0], ElementsAre(1, 1, 1));
}

TEST(ExpertLoad, ZipfRefusesSizesThatMeanNothing) {
  const struct {
    int64_t n_layers, n_experts;
    double exponent;
    const char* names;
  } table[] = {{0, 8, 1, "n_layers: out of range (found 0"},
               {1, 0, 1, "n_experts: out of range (found 0"},
               {1, int64_t{1} << 40, 1, "n_experts: out of range (found 1099511627776"},
               {1, 8, -1, "exponent: out of range (found -1"},
               {1, 8, std::nan(""), "exponent: out of range (found nan"}};
  for (const auto& row : table) {
    test::expect_refused<ConfigError>(
        [&] { zipf_layer_loads(row.n_layers, row.n_experts, row.exponent, 0); }, row.names);
  }
}

}  // namespace
}  // namespace hadal
