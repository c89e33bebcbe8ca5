// Calls out of an answer's tokens, in the three formats of the family; what is none stays text; and what
// is rendered again gives the tokens that were written.
#include "hadal/infer/tool_call_parser.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "hadal/core/rng.h"
#include "hadal/infer/answer_stream.h"
#include "hadal/infer/conversation.h"
#include "tests/support/text_model_folder.h"
#include "tests/support/tool_call_texts.h"

namespace hadal {
namespace {

using Ids = std::vector<int32_t>;
using test::section;
using test::tool_formats;
using test::ToolFormat;

class ToolCallParserTest : public testing::Test {
 protected:
  struct Answer {
    ChatMessage message;
    std::string thinking, content;  // as shown
    std::vector<ToolCall> calls;    // as given out
    bool malformed = false;
  };
  Answer answer(const Ids& ids, bool inside = false, std::vector<std::string> stops = {}) const {
    AnswerStream stream(tokenizer_, std::move(stops), inside);
    Answer all;
    const auto take = [&](const AnswerStream::Piece& piece) {
      all.thinking += piece.thinking;
      all.content += piece.content;
      all.malformed = all.malformed || piece.malformed_call;
      all.calls.insert(all.calls.end(), piece.tool_calls.begin(), piece.tool_calls.end());
    };
    for (const int32_t id : ids) take(stream.push(id));
    take(stream.finish());
    all.message = stream.message();
    EXPECT_EQ(all.malformed, stream.malformed_call());
    EXPECT_EQ(all.calls.size(), all.message.tool_calls.size());
    return all;
  }
  Answer answer(const std::string& text) const { return answer(tokenizer_.encode(text)); }
  // Text that comes back as it was written, and calls nothing.
  void expect_text(const std::string& text) const {
    const Answer got = answer(text);
    EXPECT_EQ(got.message.content, text);
    EXPECT_TRUE(got.calls.empty()) << text;
    EXPECT_TRUE(got.malformed) << text;
  }
  Tokenizer tokenizer_ = test::tokenizer_with_all_marks();
};

TEST_F(ToolCallParserTest, EveryFormatIsReadHoweverItsWordsAreCut) {
  for (const ToolFormat& format : tool_formats()) {
    const std::string text = "the cat\n\n" + section(format);
    for (const Ids& ids : {tokenizer_.encode(text), test::spelled_ids(tokenizer_, text)}) {
      const Answer got = answer(ids);
      EXPECT_EQ(got.content, "the cat\n\n") << format.name;
      EXPECT_FALSE(got.malformed) << format.name;
      ASSERT_EQ(got.calls.size(), 2U) << format.name;
      EXPECT_EQ(got.calls[0].name, "land");
      EXPECT_EQ(got.calls[0].arguments, "{\"of\": \"rain\"}");
      EXPECT_EQ(got.calls[1].name, "hat");
      EXPECT_EQ(got.calls[1].arguments, "{}");
      for (size_t i : {0U, 1U}) EXPECT_EQ(got.calls[i].id, format.ids[i]);
    }
    EXPECT_FALSE(answer(section(format)).message.content.has_value()) << "nothing is said";
  }
}

TEST_F(ToolCallParserTest, ACallComesWithItsEnd) {
  for (const ToolFormat& format : tool_formats()) {
    AnswerStream stream(tokenizer_, {}, false, 7);
    std::vector<size_t> calls;
    for (const int32_t id : tokenizer_.encode(section(format))) {
      calls.push_back(stream.push(id).tool_calls.size());
    }
    EXPECT_EQ(std::count(calls.begin(), calls.end(), 1U), 2) << format.name;
    EXPECT_EQ(calls.back(), 0U) << "the end of the section brings none";
    if (format.name != std::string("Kimi-K2")) {
      EXPECT_EQ(stream.message().tool_calls[1].id, "call_9") << "seven came before";
    }
  }
}

// What was given out before an answer is cut stays; the rest is text.
TEST_F(ToolCallParserTest, WhatIsCutShortIsText) {
  for (const ToolFormat& format : tool_formats()) {
    const Ids whole = tokenizer_.encode(section(format));
    for (size_t n = 1; n < whole.size(); ++n) {
      const Ids cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      const Answer got = answer(cut);
      std::string rest = tokenizer_.decode(cut);
      const std::string first = std::string(format.begin) + format.calls[0];
      if (!got.calls.empty()) rest.erase(0, first.size());
      if (rest == format.between) rest = "";
      if (got.calls.size() == 2) rest = "";
      EXPECT_EQ(got.message.content.value_or(""), rest) << format.name << " " << n;
      EXPECT_EQ(got.malformed, !rest.empty()) << format.name << " " << n;
    }
  }
}

TEST_F(ToolCallParserTest, WhatIsNoCallIsText) {
  const std::string begin = "<｜tool▁calls▁begin｜>", end = "<｜tool▁calls▁end｜>";
  const auto v31 = [](const std::string& name, const std::string& arguments) {
    return "<｜tool▁call▁begin｜>" + name + "<｜tool▁sep｜>" + arguments + "<｜tool▁call▁end｜>";
  };
  const auto kimi = [](const std::string& id) {
    return "<|tool_calls_section_begin|><|tool_call_begin|>" + id +
           "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>";
  };
  for (const char* arguments : {"", "{", "{\"a\": 1,}", "[]", "7", "{} the", "{\"a\":1,\"a\":2}"}) {
    expect_text("the " + begin + v31("hat", arguments) + end);
    expect_text(begin + v31("function", std::string("hat\n```json\n") + arguments + "\n```") + end);
  }
  expect_text(begin + v31("", "{}") + end);
  expect_text(begin + v31("the hat", "{}") + end);
  expect_text(begin + v31("function", "hat\n```json\n{}") + end);
  expect_text(begin + v31("hat", "hat\n```json\n{}\n```") + end);
  expect_text(begin + v31("function", "hat\n```json\n```") + end);
  for (const char* id : {"functions.hat", "functions.hat:", "functions.hat:x", ":0", "a b:0"}) {
    expect_text(kimi(id));
  }
  // Marks where none belongs.
  expect_text(begin);
  expect_text(begin + end + "the");
  expect_text(begin + "the" + end);
  expect_text("the" + end + " cat<｜tool▁sep｜><｜tool▁call▁end｜>");
  expect_text(begin + begin);
  expect_text(begin +
              "<｜tool▁call▁begin｜>hat<｜tool▁sep｜>{}<｜tool▁sep｜>{}<｜tool▁call▁end｜>" + end);
  expect_text(begin + "<｜tool▁call▁begin｜>hat" + end + "the");
}

TEST_F(ToolCallParserTest, AWrongCallTakesNoOtherWithIt) {
  const std::string begin = "<｜tool▁calls▁begin｜>", end = "<｜tool▁calls▁end｜>";
  const std::string wrong = "<｜tool▁call▁begin｜>hat<｜tool▁sep｜>{<｜tool▁call▁end｜>";
  const std::string right = "<｜tool▁call▁begin｜>hat<｜tool▁sep｜>{}<｜tool▁call▁end｜>";
  const std::string open = "<｜tool▁call▁begin｜>hat";
  const auto expect = [&](const std::string& text, size_t n_calls, const std::string& content) {
    const Answer got = answer(text);
    EXPECT_EQ(got.calls.size(), n_calls) << text;
    EXPECT_EQ(got.message.content.value_or(""), content) << text;
    EXPECT_EQ(got.malformed, content.find("<｜") != std::string::npos) << text;
  };
  expect(begin + right + wrong + right + end, 2, wrong);
  expect(begin + wrong + right + end, 1, begin + wrong);
  expect(begin + open + right + end, 1, begin + open);
  expect(begin + right + begin + right + end, 2, "");
  expect(begin + right + end + " the cat", 1, " the cat");
  expect(right + end, 1, "");  // as templates teach that forget the beginning
}

TEST_F(ToolCallParserTest, ATextThatSpellsMarksIsText) {
  for (const ToolFormat& format : tool_formats()) {
    const std::string text = section(format);
    const Answer got = answer(tokenizer_.encode(text, /*added_tokens=*/false));
    EXPECT_EQ(got.content, text);
    EXPECT_TRUE(got.calls.empty());
    EXPECT_FALSE(got.malformed);
  }
}

TEST_F(ToolCallParserTest, AThoughtCallsNothing) {
  const std::string calls = section(tool_formats()[0]);
  const Answer got = answer(tokenizer_.encode("the " + calls + "</think>\n\n" + calls), true);
  EXPECT_EQ(got.message.reasoning_content, "the " + calls);
  EXPECT_EQ(got.calls.size(), 2U);
  // A stop string that may begin in the mark of the thought's end does not hide that end.
  const Answer held = answer(tokenizer_.encode("the</think>" + calls), true, {">>"});
  EXPECT_EQ(held.calls.size(), 2U);
  EXPECT_FALSE(held.message.content.has_value()) << *held.message.content;
}

TEST_F(ToolCallParserTest, StopStringsAreOfTheWords) {
  const std::string calls = section(tool_formats()[1]);
  EXPECT_EQ(answer(tokenizer_.encode("the" + calls), false, {"rain"}).calls.size(), 2U);
  const Answer stopped = answer(tokenizer_.encode("the rain" + calls), false, {"rain"});
  EXPECT_EQ(stopped.content, "the ");
  EXPECT_TRUE(stopped.calls.empty());
}

// Whatever a model writes: every word of it is said or called, once.
TEST_F(ToolCallParserTest, NothingIsLostOfAnyMixtureOfMarksAndWords) {
  Ids pieces = tokenizer_.encode("kk{}\n:0", false);
  for (const ToolFormat& format : tool_formats()) {
    for (const int32_t id : tokenizer_.encode(section(format))) pieces.push_back(id);
  }
  const auto count = [](const std::string& text) {
    return std::count(text.begin(), text.end(), 'k');
  };
  size_t n_calls = 0, n_malformed = 0;
  Rng rng(1);
  for (int round = 0; round < 20'000; ++round) {
    Ids ids;
    for (int i = 0; i < 12; ++i) ids.push_back(pieces[rng.uniform_below(pieces.size())]);
    // Half of them begin as a call does.
    const Ids begin = tokenizer_.encode("<｜tool▁call▁begin｜>k<｜tool▁sep｜>{}");
    if (round % 2 == 0) std::copy(begin.begin(), begin.end(), ids.begin());
    const Answer got = answer(ids);
    auto n = count(got.message.content.value_or(""));
    for (const ToolCall& call : got.calls) {
      n += count(call.id.starts_with("call_") ? call.name : call.id) + count(call.arguments);
    }
    ASSERT_EQ(n, count(tokenizer_.decode(ids))) << tokenizer_.decode(ids);
    n_calls += got.calls.size();
    n_malformed += got.malformed ? 1 : 0;
  }
  EXPECT_GT(n_calls, 100U);
  EXPECT_GT(n_malformed, 100U);
}

// Each turn of two answers, the first with calls: the next prompt is what was read and written before, token
// for token, with words that no encoding gives.
TEST_F(ToolCallParserTest, TwentyTurnsRenderedAgainGiveTheTokensThatWereWritten) {
  for (const ToolFormat& format : tool_formats()) {
    std::optional<ChatTemplate> chat_template = ChatTemplate::deepseek_v3(tokenizer_);
    if (format.chat_template) {
      chat_template = ChatTemplate(tokenizer_, format.chat_template, format.name);
    }
    Conversation chat(tokenizer_, std::move(chat_template), "the end");
    Ids held;  // read and written so far
    const auto answer_with = [&](const std::string& text) {
      const Conversation::Prompt prompt = chat.prompt();
      EXPECT_TRUE(
          std::equal(held.begin(), held.end(), prompt.ids.begin(),
                     prompt.ids.begin() + std::min(std::ssize(held), std::ssize(prompt.ids))))
          << format.name << " after " << chat.messages().size() << " messages";
      EXPECT_GT(prompt.ids.size(), held.size());
      Ids written = test::spelled_ids(tokenizer_, text);
      AnswerStream stream(tokenizer_, {}, prompt.opens_thinking, prompt.n_tool_calls);
      for (const int32_t id : written) stream.push(id);
      stream.finish();
      written.push_back(tokenizer_.eos_id().value());
      held = prompt.ids;
      held.insert(held.end(), written.begin(), written.end());
      chat.add_answer(stream.message(), written);
      return stream.message();
    };
    for (int turn = 0; turn < 20; ++turn) {
      chat.add_user("the cat and the hat");
      const ChatMessage called = answer_with((turn % 2 == 0 ? "the rain\n" : "") + section(format));
      ASSERT_EQ(called.tool_calls.size(), 2U) << format.name;
      for (const ToolCall& call : called.tool_calls) {
        chat.add({.role = ChatMessage::Role::kTool, .content = "mud", .tool_call_id = call.id});
      }
      answer_with("the other story");
    }
  }
}

}  // namespace
}  // namespace hadal
