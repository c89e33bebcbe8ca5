// Which tokens a model is given, for the options that say so.
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "hadal/data/tokenizer.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_model_folder.h"

namespace hadal::testing {
namespace {

RunResult generate(std::vector<std::string> more) {
  more.insert(more.begin(), {"generate", "--model", test::text_model_folder(), "--threads", "1",
                             "--temperature", "0", "-n", "12", "--json"});
  return run_hadal(more);
}

// begin, prefix, hole, suffix, end: the model goes on with the middle.
TEST(Prompts, AFilledMiddleIsAskedForWithPrefixAndSuffixInThisOrder) {
  const Tokenizer tokenizer = Tokenizer::load(test::text_model_folder());
  const auto marks = *tokenizer.fim_tokens();
  std::vector<int32_t> ids = {*tokenizer.bos_id(), marks.begin};
  const auto append = [&](const std::string& text, int32_t mark) {
    const std::vector<int32_t> more = tokenizer.encode(text, /*added_tokens=*/false);
    ids.insert(ids.end(), more.begin(), more.end());
    ids.push_back(mark);
  };
  append("the cat sat", marks.hole);
  append("and slept.", marks.end);
  const test::TemporaryFolder folder;
  const std::string file = folder.write("ids.json", Json::array_of(ids).dump());
  const RunResult by_ids = generate({"--prompt-tokens", file});
  const RunResult by_text = generate({"--prompt", "the cat sat", "--suffix", "and slept."});
  ASSERT_EQ(by_ids.exit_code, 0) << by_ids.err;
  ASSERT_EQ(by_text.exit_code, 0) << by_text.err;
  for (const char* field : {"tokens", "prompt_tokens"}) {
    EXPECT_EQ(parse_json(by_text.out, "").at(field), parse_json(by_ids.out, "").at(field)) << field;
  }
}

// -4294967291 is 5 to who keeps 32 bits of it.
TEST(Prompts, IdsOutsideOfWhatAnIdMayBeAreNoOthers) {
  const test::TemporaryFolder folder;
  for (const char* ids : {"[5, -1]", "[-4294967291]", "[4294967301]", "[1.5]", "[2147483648]"}) {
    const std::string file = folder.write("ids.json", ids);
    expect_refused(generate({"--prompt-tokens", file}),
                   {{ids}, file + ": not a list of token ids"});
  }
}

TEST(Prompts, LogprobsOfEveryTokenStandInTheJson) {
  const Json json = parse_json(generate({"--prompt", "the", "--logprobs", "2"}).out, "");
  const Json::Array& tokens = json.at("tokens").as_array();
  const Json::Array& logprobs = json.at("logprobs").as_array();
  ASSERT_EQ(logprobs.size(), tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ(logprobs[i].at("token"), tokens[i]);
    const Json::Array& top = logprobs[i].at("top_logprobs").as_array();
    ASSERT_EQ(top.size(), 2U);
    EXPECT_EQ(top[0].at("token"), tokens[i]);  // at temperature 0
    EXPECT_EQ(top[0].at("logprob"), logprobs[i].at("logprob"));
  }
  EXPECT_EQ(parse_json(generate({"--prompt", "the"}).out, "").find("logprobs"), nullptr);
  expect_refused(generate({"--prompt", "the", "--logprobs", "21"}), {{}, "--logprobs: "});
  expect_refused(
      {{{"generate", "--model", test::text_model_folder(), "--prompt", "the", "--logprobs", "1"},
        "--logprobs: written in the JSON only"}});
}

TEST(Prompts, SeveralAreAnsweredEachAsAlone) {
  const test::TemporaryFolder folder;
  const std::string one = folder.write("one.txt", "the cat"),
                    two = folder.write("two.txt", "the other end of");
  const Json together = parse_json(generate({"-f", one, "-f", two, "--speculate", "2"}).out, "");
  const Json::Array& answers = together.at("answers").as_array();
  ASSERT_EQ(answers.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    const Json alone = parse_json(generate({"-f", i == 0 ? one : two}).out, "");
    for (const char* field : {"text", "tokens", "prompt_tokens", "finish_reason"}) {
      EXPECT_EQ(answers[i].at(field), alone.at(field)) << field;
    }
  }
  EXPECT_NE(answers[0].at("tokens"), answers[1].at("tokens"));
  const RunResult shown = run_hadal({"generate", "--model", test::text_model_folder(), "-p",
                                     "the cat", "-p", "the", "--temperature", "0", "-n", "12"});
  EXPECT_EQ(shown.out.find("--- 1 of 2\n" + answers[0].at("text").as_string() + "\n--- 2 of 2\n"),
            0U)
      << shown.out;
  expect_refused(generate({"-p", "the", "-p", "cat", "--record", folder.path() + "/record"}),
                 {{}, "--record: keeps one answer", "2 prompts"});
}

TEST(Prompts, TheContextIsAtMostWhatTheModelHas) {
  EXPECT_EQ(generate({"--prompt", "the", "--max-context", "128"}).exit_code, 0);
  for (const char* wrong : {"129", "-1"}) {
    EXPECT_EQ(generate({"--prompt", "the", "--max-context", wrong}).exit_code, 2) << wrong;
  }
}

}  // namespace
}  // namespace hadal::testing
