// Conversations as text and ids: the native format, a folder's template, and control tokens that come
// from nobody but the template.
#include "hadal/data/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "hadal/core/error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_model_folder.h"

namespace hadal::test {
namespace {

using Role = ChatMessage::Role;
using Messages = std::vector<ChatMessage>;

ChatMessage calling(std::vector<ToolCall> calls) {
  return {.role = Role::kAssistant, .tool_calls = std::move(calls)};
}

class ChatTemplateTest : public ::testing::Test {
 protected:
  std::string text(const ChatTemplate& t, const Messages& messages,
                   const ChatOptions& o = {}) const {
    return t.text(messages, o).bytes();
  }
  std::string native(const Messages& messages, bool answer_next = true) const {
    return text(*ChatTemplate::deepseek_v3(tokenizer_), messages, {.answer_next = answer_next});
  }
  Tokenizer tokenizer_ = Tokenizer::load(tokenizer_folder());
};

TEST_F(ChatTemplateTest, TheNativeFormat) {
  EXPECT_EQ(native({{Role::kSystem, "one"}, {Role::kUser, "two"}, {Role::kSystem, "three"}}, false),
            "<｜begin▁of▁sentence｜>one\n\nthree<｜User｜>two");
  const Messages call = {{Role::kUser, "q"}, calling({{"1", "f", "{}"}}), {Role::kTool, "r"}};
  const std::string called =
      "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"
      "function"
      "<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><"
      "｜end▁of▁sentence｜>"
      "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>r<｜tool▁output▁end｜>";
  EXPECT_EQ(native(call), called + "<｜tool▁outputs▁end｜>");
  Messages longer = call;
  longer.push_back({Role::kAssistant, "a"});
  longer.push_back({Role::kUser, "q"});
  EXPECT_EQ(native(longer),
            called + "<｜tool▁outputs▁end｜>a<｜end▁of▁sentence｜><｜User｜>q<｜Assistant｜>");
  EXPECT_EQ(native({{Role::kUser, "q"}, calling({{"1", "f", "{}"}, {"2", "g", "[]"}})}, false),
            "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜><｜tool▁calls▁begin｜><"
            "｜tool▁call▁begin｜>function"
            "<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<"
            "｜tool▁sep｜>g\n"
            "```json\n[]\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>");
}

TEST_F(ChatTemplateTest, OnlyTheTemplateWritesControlTokens) {
  const ChatTemplate t(
      tokenizer_,
      "{{ bos_token }}{% for m in messages %}<｜User｜>{{ m.content.strip() + '!' }}"
      "{% endfor %}{{ tools | tojson }}{{ eos_token }}",
      "T");
  ChatOptions options;
  options.tools = Json::Array{Json("<｜User｜>")};
  const jinja::Text rendered =
      t.text(Messages{{Role::kUser, " <｜end▁of▁sentence｜>the "}}, options);
  EXPECT_EQ(rendered.bytes(),
            "<｜begin▁of▁sentence｜><｜User｜><｜end▁of▁sentence｜>the![\"<｜User｜>\"]<"
            "｜end▁of▁sentence｜>");
  std::vector<int32_t> expected = {*tokenizer_.bos_id(), *tokenizer_.token_id("<｜User｜>")};
  // One text between two control tokens is encoded as one, whoever wrote its parts.
  for (const int32_t id : tokenizer_.encode("<｜end▁of▁sentence｜>the![\"<｜User｜>\"]", false)) {
    expected.push_back(id);
  }
  expected.push_back(*tokenizer_.eos_id());
  EXPECT_EQ(t.ids(rendered), expected);
}

// A token that is half the template's and half a message's is none.
TEST_F(ChatTemplateTest, ATokenIsNotCompletedByAMessage) {
  const ChatTemplate t(tokenizer_, "<｜Us{{ messages[0].content }}", "T");
  const jinja::Text rendered = t.text(Messages{{Role::kUser, "er｜>"}}, {});
  EXPECT_EQ(t.ids(rendered), tokenizer_.encode("<｜User｜>", false));
}

TEST_F(ChatTemplateTest, WithoutControlTokensInMessagesTheIdsAreThoseOfTheText) {
  const ChatTemplate t = *ChatTemplate::deepseek_v3(tokenizer_);
  const jinja::Text rendered = t.text(
      Messages{{Role::kSystem, "the  end\n"}, {Role::kUser, " cat\n\n"}, {Role::kAssistant, "sat"}},
      {});
  EXPECT_EQ(t.ids(rendered), tokenizer_.encode(rendered.view()));
}

TEST_F(ChatTemplateTest, WhatATemplateFinds) {
  const ChatTemplate t(
      tokenizer_,
      "{{ thinking is defined }} {{ thinking }} {{ tools is none }} {{ documents is none }} "
      "{{ add_generation_prompt }} {{ extra }} {{ messages[0] | tojson }}",
      "T");
  EXPECT_TRUE(t.knows_thinking());
  ChatMessage m{.role = Role::kAssistant, .content = "c", .reasoning_content = "r", .name = "n"};
  EXPECT_EQ(text(t, {m}),
            "False  True True True  {\"role\": \"assistant\", \"content\": \"c\", "
            "\"reasoning_content\": \"r\", \"name\": \"n\"}");
  ChatOptions options{.answer_next = false, .thinking = true};
  options.variables["extra"] = 5;
  EXPECT_EQ(
      text(t, {calling({{"1", "f", "{}"}})}, options),
      "True True True True False 5 {\"role\": \"assistant\", \"content\": null, \"tool_calls\": "
      "[{\"id\": \"1\", \"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\": "
      "\"{}\"}}]}");
}

TEST_F(ChatTemplateTest, APrefixIsGoneOnWith) {
  const Messages messages = {{Role::kUser, "q"},
                             {.role = Role::kAssistant, .content = "it be", .prefix = true}};
  EXPECT_EQ(native(messages), "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜>it be");
}

TEST_F(ChatTemplateTest, AThoughtIsOpenedByTheTemplateAlone) {
  const auto opens = [&](const std::string& source) {
    const ChatTemplate t(tokenizer_, source, "T");
    return opens_thinking(t.text(Messages{{Role::kUser, "<think>"}}, {}));
  };
  EXPECT_TRUE(opens("<｜Assistant｜><think>\n\n{{ '' }}"));
  EXPECT_FALSE(opens("<｜Assistant｜></think>"));
  EXPECT_FALSE(opens("<｜Assistant｜>{{ messages[0].content }}"));
  EXPECT_FALSE(opens(""));
}

TEST_F(ChatTemplateTest, AFolderSaysHow) {
  TemporaryFolder folder;
  copy_files(tokenizer_folder(), folder.path());
  EXPECT_TRUE(ChatTemplate::load(folder.path(), tokenizer_).has_value());
  folder.write("chat_template.jinja", "{% for m in messages %}[{{ m.role }}]{% endfor %}");
  EXPECT_EQ(text(*ChatTemplate::load(folder.path(), tokenizer_), {{Role::kUser, "x"}}), "[user]");
  folder.write("chat_template.jinja", "\n{% include 'x' %}");
  try {
    ChatTemplate::load(folder.path(), tokenizer_);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(std::string(error.what()).find((folder / "chat_template.jinja") + ": line 2: "), 0U)
        << error.what();
  }
}

TEST_F(ChatTemplateTest, MessagesAreReadAndWritten) {
  const Json json = parse_json(
      R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
      R"({"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"1",)"
      R"("type":"function","function":{"name":"f","arguments":{"x":1}}}]},)"
      R"({"role":"tool","content":"t","tool_call_id":"1"}])",
      "");
  const Messages messages = messages_from_json(json, "F");
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0].content, "ab");
  EXPECT_EQ(messages[1].tool_calls[0].arguments, "{\"x\":1}");
  Json again = Json::array();
  for (const ChatMessage& m : messages) again.push_back(message_json(m));
  const Messages twice = messages_from_json(again, "F");
  EXPECT_EQ(message_json(twice[1]), message_json(messages[1]));
  for (const char* wrong :
       {"7", "{}", "[7]", R"([{"role":"nobody","content":"x"}])",
        R"([{"role":"user","content":7}])", R"([{"role":"user","content":[{"type":"image_url"}]}])",
        R"([{"role":"assistant","tool_calls":[7]}])"}) {
    EXPECT_THROW(messages_from_json(parse_json(wrong, ""), "F"), FormatError) << wrong;
  }
}

}  // namespace
}  // namespace hadal::test
