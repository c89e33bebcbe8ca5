// The command line, then the model's generation_config.json, then the command's own default.
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_model_folder.h"

namespace hadal::testing {
namespace {

TEST(Precedence, TheCommandLineBeatsTheModelsDefaults) {
  const test::TemporaryFolder folder;
  const std::string& model = folder.path();
  test::copy_files(test::text_model_folder(), model);
  folder.write("generation_config.json", R"({"do_sample": true, "temperature": 2.0})");
  const auto tokens = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "--model", model, "--prompt", "the", "-n", "20",
                               "--ignore-eos", "--threads", "1", "--json"});
    const RunResult result = run_hadal(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "stdout").at("tokens");
  };
  EXPECT_NE(tokens({"--seed", "1"}), tokens({"--seed", "2"})) << "the model's own temperature";
  const Json greedy = tokens({"--seed", "1", "--temperature", "0"});
  EXPECT_EQ(tokens({"--seed", "2", "--temperature", "0"}), greedy);
  EXPECT_EQ(tokens({"--seed", "2", "--top-k", "1"}), greedy);
}

}  // namespace
}  // namespace hadal::testing
