#include "hadal/infer/generation_defaults.h"

#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

GenerationDefaults read(const std::string& text) {
  const TemporaryFolder folder;
  folder.write("generation_config.json", text);
  return read_generation_defaults(folder.path());
}

TEST(GenerationDefaults, TakesWhatTheFileSaysAndNothingElse) {
  const GenerationDefaults d =
      read(R"({"do_sample": true, "temperature": 0.6, "top_p": 0.95, "min_p": 0.05, "top_k": 40,
               "repetition_penalty": 1.1, "max_new_tokens": 300, "eos_token_id": [1, 2],
               "suppress_tokens": [5, 6], "stop_strings": ["User:", "\n\n"], "num_beams": 1})");
  EXPECT_EQ(d.temperature, 0.6);
  EXPECT_EQ(d.top_p, 0.95);
  EXPECT_EQ(d.min_p, 0.05);
  EXPECT_EQ(d.top_k, 40);
  EXPECT_EQ(d.repetition_penalty, 1.1);
  EXPECT_EQ(d.max_new_tokens, 300);
  EXPECT_EQ(d.eos_token_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(d.suppress_tokens, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(d.stop_strings, (std::vector<std::string>{"User:", "\n\n"}));

  const GenerationDefaults none = read(R"({"eos_token_id": 1, "min_p": null})");
  EXPECT_EQ(none.eos_token_ids, (std::vector<int32_t>{1}));
  EXPECT_FALSE(none.temperature || none.top_p || none.min_p || none.top_k || none.max_new_tokens);
  EXPECT_TRUE(none.suppress_tokens.empty() && none.stop_strings.empty());
}

// The other limits hold all the same.
TEST(GenerationDefaults, WithoutSamplingItIsGreedy) {
  const GenerationDefaults d =
      read(R"({"do_sample": false, "temperature": 0.6, "top_p": 0.9, "min_p": 0.1,
               "max_new_tokens": 5, "stop_strings": "END"})");
  EXPECT_EQ(d.temperature, 0.0);
  EXPECT_FALSE(d.top_p || d.min_p);
  EXPECT_EQ(d.max_new_tokens, 5);
  EXPECT_EQ(d.stop_strings, (std::vector<std::string>{"END"}));
}

TEST(GenerationDefaults, AWrongValueIsNamed) {
  for (const auto& [text, field] : {std::pair{R"({"max_new_tokens": 0})", "max_new_tokens"},
                                    {R"({"max_new_tokens": 1.5})", "max_new_tokens"},
                                    {R"({"suppress_tokens": [1, -2]})", "suppress_tokens"},
                                    {R"({"stop_strings": ["a", ""]})", "stop_strings"},
                                    {R"({"stop_strings": 7})", "stop_strings"},
                                    {R"({"do_sample": true, "min_p": "x"})", "min_p"},
                                    {R"({"top_k": -1})", "top_k"}}) {
    try {
      read(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find(std::string(field) + ": wrong value"),
                std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace hadal
