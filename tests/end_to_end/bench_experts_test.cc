// `hadal bench experts` through the binary.
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"

namespace hadal {
namespace {

using testing::run_hadal;
using testing::RunResult;

TEST(BenchExperts, BusyExpertsGetCopiesAndTokensStayTheSame) {
  const RunResult result =
      run_hadal({"bench", "experts", "--preset", "tiny", "--batch", "4", "--decode-tokens", "24",
                 "--every", "6", "--skew", "0.5", "--rounds", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  EXPECT_TRUE(json.at("same_tokens").as_bool());
  EXPECT_GT(json.at("layers_moved").as_integer(), 0);
  const auto& results = json.at("results").as_array();
  EXPECT_EQ(results[0].at("name").as_string(), "balancedness in order");
  EXPECT_GT(results[1].at("value").as_number(), results[0].at("value").as_number());
}

TEST(BenchExperts, WrongInputIsOneLine) {
  const auto bench = [](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"bench", "experts", "--preset", "tiny"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  testing::expect_refused({
      {bench({"--ranks", "5"}), "--ranks: cannot share out the routed experts of a layer evenly"},
      {bench({"--slots", "3"}), "--slots: cannot be shared out evenly"},
      {bench({"--batch", "0"}), "--batch: out of range (found 0"},
      {bench({"--rounds", "0"}), "--rounds: out of range (found 0"},
      {bench({"--every", "0"}), "--every: out of range (found 0"},
      {{"bench", "experts", "--preset", "tiny-v2"}, "--preset: routers without a bias"},
  });
}

}  // namespace
}  // namespace hadal
