// Thoughts and words apart, however the marks are cut over tokens.
#include "hadal/infer/answer_stream.h"

#include "gtest/gtest.h"
#include "tests/support/text_model_folder.h"

namespace hadal {
namespace {

class AnswerStreamTest : public testing::Test {
 protected:
  // "thinking|content" as shown, letter by letter or in the tokenizer's own pieces.
  std::string shown(const std::string& text, bool inside, bool letters,
                    std::vector<std::string> stops = {}) const {
    AnswerStream stream(tokenizer_, std::move(stops), inside);
    AnswerStream::Piece all;
    const auto take = [&](const AnswerStream::Piece& piece) {
      all.thinking += piece.thinking;
      all.content += piece.content;
    };
    std::vector<int32_t> ids = tokenizer_.encode(text, false);
    if (letters) {
      ids.clear();
      for (const char c : text) ids.push_back(tokenizer_.token_id(std::string(1, c)).value());
    }
    for (const int32_t id : ids) take(stream.push(id));
    take(stream.finish());
    return all.thinking + "|" + all.content;
  }
  void expect(const std::string& text, bool inside, const std::string& want) const {
    for (const bool letters : {false, true}) EXPECT_EQ(shown(text, inside, letters), want) << text;
  }
  Tokenizer tokenizer_ = Tokenizer::load(test::tokenizer_folder());
};

TEST_F(AnswerStreamTest, MarksAreFoundAndNotShown) {
  expect("plain words", false, "|plain words");
  expect("<think>\nhm\n</think>\n\nyes", false, "hm\n|yes");
  expect(" \n<think>hm</think>yes", false, "hm|yes");
  expect("hm</think>\nyes", true, "hm|yes");
  expect("\nhm", true, "hm|");
  expect("hm</thin", true, "hm</thin|");
  expect("a < b </ think> c</think>d", true, "a < b </ think> c|d");
}

TEST_F(AnswerStreamTest, AMarkInsideOfTheWordsIsAWord) {
  expect("say <think> and </think>", false, "|say <think> and </think>");
  expect("<thin", false, "|<thin");
  expect("x</think>y</think>z", true, "x|y</think>z");
}

TEST_F(AnswerStreamTest, TheHistoryKeepsWhatWasWritten) {
  AnswerStream stream(tokenizer_, {}, true);
  for (const int32_t id : tokenizer_.encode("\nhm\n</think>\n\nyes", false)) stream.push(id);
  stream.finish();
  EXPECT_EQ(stream.message().reasoning_content, "\nhm\n");
  EXPECT_EQ(stream.message().content, "\n\nyes");
}

TEST_F(AnswerStreamTest, AStopStringEndsBoth) {
  EXPECT_EQ(shown("hm END </think>yes", true, true, {"END"}), "hm |");
  EXPECT_EQ(shown("hm</think>yes END no", true, true, {"END"}), "hm|yes ");
}

}  // namespace
}  // namespace hadal
