// Conversations from a file, and tool calls: what generate answers to messages, what chat shows of a call
// and reads again behind its result.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_model_folder.h"
#include "tests/support/tool_call_texts.h"

namespace hadal::testing {
namespace {

constexpr const char* kHatCall =
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>hat<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
    "<｜tool▁calls▁end｜>";
constexpr const char* kQuestion = R"([{"role": "user", "content": "the cat"}])";

class Messages : public ::testing::Test {
 protected:
  // Calls when it is asked, and speaks when there is a result.
  void make_model(const std::string& first = kHatCall) const {
    test::write_reciting_model(folder_.path(),
                               {{"</think>", first}, {"<｜tool▁output▁end｜>", "mud"}});
    folder_.write("chat_template.jinja", test::tool_formats()[1].chat_template);
  }
  RunResult generate(const std::string& messages, std::vector<std::string> more = {}) const {
    const std::string file = folder_.write("messages.json", messages);
    more.insert(more.begin(), {"generate", "-m", folder_.path(), "--messages", file, "-n", "40",
                               "--temp", "0", "--threads", "1"});
    return run_hadal(more);
  }
  Json json(const std::string& messages, std::vector<std::string> more = {}) const {
    more.push_back("--json");
    const RunResult result = generate(messages, std::move(more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "stdout");
  }
  test::TemporaryFolder folder_;
};

TEST_F(Messages, AreAnsweredWithACallAndItsResultWithWords) {
  make_model();
  const Json called = json(kQuestion);
  EXPECT_EQ(called.at("finish_reason"), Json("tool_calls"));
  EXPECT_EQ(called.at("text"), Json(""));
  EXPECT_EQ(called.at("malformed_tool_call"), Json(false));
  EXPECT_EQ(called.at("message"),
            parse_json(R"({"role":"assistant","content":null,"tool_calls":[{"id":"call_1",)"
                       R"("type":"function","function":{"name":"hat","arguments":"{}"}}]})",
                       ""));
  EXPECT_EQ(generate(kQuestion).out, "[tool call] hat {}\n\n");
  Json messages = parse_json(kQuestion, "");
  messages.push_back(called.at("message"));
  messages.push_back(Json::Object{
      {"role", "tool"}, {"tool_call_id", "call_1"}, {"content", "<｜tool▁output▁end｜>"}});
  const Json spoken = json(Json(Json::Object{{"messages", messages}}).dump());
  EXPECT_EQ(spoken.at("finish_reason"), Json("stop"));
  EXPECT_EQ(spoken.at("message"), parse_json(R"({"role":"assistant","content":"mud"})", ""));
  // A control token that a message spells is many tokens.
  messages.as_array()[2]["content"] = "x";
  EXPECT_GT(spoken.at("prompt_tokens").as_integer(),
            json(messages.dump()).at("prompt_tokens").as_integer() + 5);
}

TEST_F(Messages, ACallThatIsNoneIsTheText) {
  make_model("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>hat");
  const Json cut = json(kQuestion);
  EXPECT_EQ(cut.at("text"), Json("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>hat"));
  EXPECT_EQ(cut.at("malformed_tool_call"), Json(true));
  EXPECT_EQ(cut.at("finish_reason"), Json("stop"));
  EXPECT_NE(generate(kQuestion).err.find("a tool call was cut short"), std::string::npos);
}

TEST_F(Messages, ThoughtsAreApart) {
  test::write_reciting_model(folder_.path(), {{"<think>", "hat</think>mud"}});
  folder_.write("chat_template.jinja", "{{ messages[0].content }}<think>");
  EXPECT_EQ(json(kQuestion).at("message"),
            parse_json(R"({"role":"assistant","content":"mud","reasoning_content":"hat"})", ""));
  EXPECT_EQ(generate(kQuestion).out, "[thinking]\nhat\n[answer]\nmud\n");
}

TEST_F(Messages, ToolsReachTheTemplate) {
  make_model();
  folder_.write("chat_template.jinja",
                "{{ tools | tojson if tools }}{{ thinking }}{{ '</think>' }}");
  const std::string tools =
      folder_.write("tools.json", R"([{"type":"function","function":{"name":"hat"}}])");
  const auto tokens = [&](std::vector<std::string> more) {
    return json(kQuestion, std::move(more)).at("prompt_tokens").as_integer();
  };
  EXPECT_GT(tokens({"--tools", tools}), tokens({}) + 10);
  EXPECT_GT(tokens({"--think", "on"}), tokens({}));
}

TEST_F(Messages, ChatShowsACallAndReadsOnlyItsResult) {
  make_model();
  const RunResult chat =
      run_hadal({"chat", "-m", folder_.path(), "--temp", "0", "--threads", "1"},
                "/result x\nthe cat\n/result x\n/result x\n", {"XDG_STATE_HOME=" + folder_.path()});
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  EXPECT_EQ(chat.out, "[tool call] hat {}\n\nmud\n");
  // The end of the answer, two marks and the result; all before them is in the cache.
  EXPECT_NE(chat.err.find(" tokens from the cache, 4 read; written: 3 tokens"), std::string::npos)
      << chat.err;
  size_t n = 0;
  for (size_t at = 0; (at = chat.err.find("/result: no tool was called", at)) != std::string::npos;
       ++at) {
    ++n;
  }
  EXPECT_EQ(n, 2U) << "before the call and behind its result";
}

TEST_F(Messages, AWrongFileIsOneLineThatNamesTheField) {
  make_model();
  const std::string file = folder_ / "messages.json";
  const auto refused = [&](const std::string& messages, const std::string& names) {
    expect_refused(generate(messages), {{messages}, file + ": " + names});
  };
  refused("{}", "no messages (found object");
  refused("[7]", "messages[0]: wrong value (found 7, expected an object with role and content)");
  refused(
      R"([{"role":"user","content":"x"},{"content":"x"}])",
      "messages[1].role: wrong value (found nothing, expected system, user, assistant or tool)");
  refused(R"([{"role":"robot","content":"x"}])", "messages[0].role: wrong value (found \"robot\"");
  refused(R"([{"role":"user","content":7}])", "messages[0].content: wrong value (found 7, ");
  refused(R"([{"role":"user"}])", "messages[0].content: wrong value (found nothing, ");
  refused(R"([{"role":"assistant","content":null}])",
          "messages[0].content: wrong value (found null, expected a string, or tool_calls");
  refused(R"([{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url"}]}])",
          "messages[0].content[1]: wrong value");
  refused(R"([{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}])",
          "messages[0].tool_calls[0].function.arguments: wrong value (found nothing, ");
  refused(R"([{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}])",
          "messages[0].tool_calls[0].function.name: wrong value (found nothing, ");
  refused(
      R"([{"role":"tool","content":"x","tool_call_id":"c"}])",
      "messages[0].tool_call_id: wrong value (found \"c\", expected the id of a call before it)");
  refused("[", "line 1, column 2: not valid JSON");
  const std::string tools = folder_.write("tools.json", R"([{"type":"function","function":{}}])");
  expect_refused(generate(kQuestion, {"--tools", tools}),
                 {{}, tools + ": tools[0].function.name: wrong value (found nothing, "});
}

TEST_F(Messages, OptionsThatDoNotFitAreNamed) {
  make_model();
  expect_refused(generate(kQuestion, {"--prompt", "x"}), {{}, "--prompt: given beside another"});
  expect_refused(generate(kQuestion, {"--suffix", "x"}), {{}, "--suffix: needs a text prompt"});
  expect_refused(generate(kQuestion, {"--think", "on"}),
                 {{}, "--think: the model's chat template does not ask"});
  expect_refused(run_hadal({"generate", "-m", folder_.path(), "--prompt", "x", "--think", "on"}),
                 {{}, "--think: is of a conversation"});
  // A base model: neither a template nor the tokens of DeepSeek-V3's format.
  std::filesystem::remove(folder_ / "chat_template.jinja");
  Json tokenizer = parse_json_file(folder_ / "tokenizer.json");
  std::erase_if(tokenizer["added_tokens"].as_array(),
                [](const Json& token) { return token.at("content") == Json("<｜User｜>"); });
  folder_.write("tokenizer.json", tokenizer.dump());
  expect_refused(generate(kQuestion),
                 {{}, concat("--messages: ", folder_.path(), " is a base model")});
}

}  // namespace
}  // namespace hadal::testing
