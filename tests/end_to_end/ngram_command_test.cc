// `hadal data ngram`: byte models beside a model's score.
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/generated_text.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::testing {
namespace {

TEST(NgramCommand, ScoresTheHeldOutTextWithEveryOrderAsked) {
  const test::TemporaryFolder folder;
  for (uint64_t i = 0; i < 20; ++i) {
    folder.write("text-" + std::to_string(i) + ".txt", test::generated_text(i, 300));
  }
  const RunResult packed = run_hadal({"data", "pack", folder / "text-*.txt", "--out",
                                      folder / "prepared", "--seq-len", "64", "--vocab-size", "300",
                                      "--fim-rate", "0", "--validation-fraction", "0.2", "--json"});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const std::string prepared = parse_json(packed.out, "stdout").at("folder").as_string();
  const RunResult scored =
      run_hadal({"data", "ngram", "--prepared", prepared, "--orders", "0,1,3", "--json"});
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  const Json report = parse_json(scored.out, "stdout");
  EXPECT_GT(report.at("bytes").as_integer(), 500);
  const Json::Array& results = report.at("results").as_array();
  ASSERT_EQ(results.size(), 3U);
  double before = 8.0;
  for (const auto& [result, name] : {std::pair{&results[0], "bytes, order 0"},
                                     {&results[1], "bytes, order 1"},
                                     {&results[2], "bytes, order 3"}}) {
    EXPECT_EQ(result->at("model").as_string(), name);
    const double bits = result->at("bits_per_byte").as_number();
    EXPECT_LT(bits, before) << "a longer context tells more of such text";
    before = bits;
  }
  EXPECT_EQ(run_hadal({"data", "ngram", "--prepared", prepared, "--orders", "1,"}).exit_code, 2);
}

}  // namespace
}  // namespace hadal::testing
