// Text comes out as soon as it may, whole characters only, and never a part of a stop string.
#include "hadal/infer/text_stream.h"

#include "gtest/gtest.h"
#include "tests/support/text_model_folder.h"

namespace hadal {
namespace {

class TextStreamTest : public testing::Test {
 protected:
  // One id per byte, so that every cut is tried.
  std::vector<int32_t> bytes(const std::string& text) const {
    std::vector<int32_t> ids;
    for (const char byte : text) ids.push_back(tokenizer_.token_id({&byte, 1}).value());
    return ids;
  }
  // What is shown after each token, joined by '|', then what finish() adds.
  std::string shown(const std::string& text, const std::vector<std::string>& stops,
                    bool* stopped = nullptr) const {
    TextStream stream(tokenizer_, stops);
    std::string result;
    for (const int32_t id : bytes(text)) result += stream.push(id) + "|";
    result += stream.finish();
    if (stopped != nullptr) *stopped = stream.stopped();
    return result;
  }
  Tokenizer tokenizer_ = Tokenizer::load(test::tokenizer_folder());
};

TEST_F(TextStreamTest, WithoutStopsEveryCharacterIsShownAtOnce) {
  EXPECT_EQ(shown("ab c", {}), "a|b| |c|");
}

TEST_F(TextStreamTest, ACharacterIsShownWhenItsLastByteCame) {
  EXPECT_EQ(shown("aé🙂b", {}), "a||é||||🙂|b|");
}

TEST_F(TextStreamTest, AnUnfinishedCharacterBecomesTheReplacementAtTheEnd) {
  EXPECT_EQ(shown("a\xF0\x9F", {}), "a|||\xEF\xBF\xBD");
}

TEST_F(TextStreamTest, AStopStringIsHeldBackAndNeverShown) {
  bool stopped = false;
  EXPECT_EQ(shown("one END two", {"END"}, &stopped), "o|n|e| ||||||||")
      << "nothing comes after it either";
  EXPECT_TRUE(stopped);
}

TEST_F(TextStreamTest, WhatOnlyBeganLikeAStopStringIsShownWhenThatIsClear) {
  bool stopped = true;
  EXPECT_EQ(shown("EEND EN", {"END!"}, &stopped), "|E|||END |||EN") << "the second E begins again";
  EXPECT_FALSE(stopped);
}

TEST_F(TextStreamTest, TheFirstOfSeveralStopStringsWins) {
  EXPECT_EQ(shown("abcdef", {"ef", "cd", ""}), "a|b|||||");
  EXPECT_EQ(shown("aab", {"aab", "ab"}), "|||") << "the one that begins first";
}

TEST_F(TextStreamTest, AStopStringMayEndInsideAToken) {
  TextStream stream(tokenizer_, {"he"});
  const std::vector<int32_t> the = tokenizer_.encode(" the");
  std::string text;
  for (const int32_t id : the) text += stream.push(id);
  EXPECT_EQ(text + stream.finish(), " t");
  EXPECT_TRUE(stream.stopped());
}

TEST_F(TextStreamTest, SpecialTokensAddNoText) {
  TextStream stream(tokenizer_, {});
  EXPECT_EQ(stream.push(tokenizer_.eos_id().value()), "");
  EXPECT_EQ(stream.push(bytes("x")[0]), "x");
  EXPECT_EQ(stream.text(), "x");
}

}  // namespace
}  // namespace hadal
