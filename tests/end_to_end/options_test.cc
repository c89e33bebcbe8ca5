// What every command owes to the options it is given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/run_hadal.h"

namespace hadal::testing {
namespace {

using ::testing::HasSubstr;

TEST(Options, OfOneGivenTwiceTheLastCounts) {
  const auto with_stages = [](std::vector<std::string> stages) {
    std::vector<std::string> call = {"pipeline", "--micro-batches", "20", "--threads",
                                     "1",        "--json"};
    call.insert(call.end(), stages.begin(), stages.end());
    return run_hadal(call);
  };
  const RunResult last = with_stages({"--stages", "4", "--stages", "8"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_EQ(last.out, with_stages({"--stages", "8"}).out);
  EXPECT_NE(last.out, with_stages({"--stages", "4"}).out);
}

TEST(Options, ANumberEndsWithItsLastDigit) {
  for (const std::vector<std::string>& call :
       {std::vector<std::string>{"pipeline", "--threads", "2x"},
        {"pipeline", "--stages", "8,"},
        {"completion", "bash", "--seed", "1.0"}}) {
    const RunResult result = run_hadal(call);
    expect_refused(result, {call, call[call.size() - 2] + ": ", "not a number here"});
  }
}

}  // namespace
}  // namespace hadal::testing
