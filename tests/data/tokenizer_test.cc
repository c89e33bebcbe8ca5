#include "hadal/data/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "hadal/core/json.h"
#include "hadal/core/rng.h"
#include "hadal/core/thread_pool.h"

namespace hadal {
namespace {

std::string golden(const std::string& name) {
  return std::string(HADAL_GOLDEN_DIR) + "/tokenizer/" + name;
}

// tools/golden/tokenizer_fixture.py wrote the ids, with Hugging Face's `tokenizers`.
class TokenizerGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerGolden, IdsAreThoseOfTokenizers) {
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  const Json expected = parse_json_file(golden(GetParam()) + "/expected.json");
  ASSERT_GT(expected.as_array().size(), 90U);
  ThreadPool pool(2);
  for (const Json& one : expected.as_array()) {
    const std::string& text = one.at("text").as_string();
    std::vector<int32_t> ids;
    for (const Json& id : one.at("ids").as_array()) {
      ids.push_back(static_cast<int32_t>(id.as_integer()));
    }
    EXPECT_EQ(tokenizer.encode(text), ids) << one.dump();
    EXPECT_EQ(tokenizer.encode(text), ids) << "from the cache: " << one.dump();
    EXPECT_EQ(tokenizer.encode_parallel(text, pool), ids) << one.dump();
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
}
INSTANTIATE_TEST_SUITE_P(Golden, TokenizerGolden, ::testing::Values("deepseek", "expressions"));

class TokenizerTest : public ::testing::Test {
 protected:
  const Tokenizer tokenizer_ = Tokenizer::load(golden("deepseek"));
};

TEST_F(TokenizerTest, InvalidBytesBecomeReplacementCharacters) {
  const std::string replacement = "\xEF\xBF\xBD";
  const auto decoded = [&](const std::string& text) {
    return tokenizer_.decode(tokenizer_.encode(text));
  };
  EXPECT_EQ(decoded("a\xFF b"), "a" + replacement + " b");
  // One for each maximal subpart: E2 82 could begin a character, C0 could not, nor could ED A0.
  EXPECT_EQ(decoded("\xE2\x82x"), replacement + "x");
  EXPECT_EQ(decoded("\xC0\x80"), replacement + replacement);
  EXPECT_EQ(decoded("\xED\xA0\x80"), replacement + replacement + replacement);
  EXPECT_EQ(decoded("\xF0\x9F\x99"), replacement);
}

TEST_F(TokenizerTest, AddedTokensCanStayText) {
  const std::string text = "<｜User｜>hi";
  const auto user = tokenizer_.token_id("<｜User｜>");
  ASSERT_TRUE(user);
  const std::vector<int32_t> control = tokenizer_.encode(text);
  const std::vector<int32_t> plain = tokenizer_.encode(text, false);
  EXPECT_EQ(control.front(), *user);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), *user), 0);
  EXPECT_EQ(tokenizer_.decode(plain), text);
}

TEST_F(TokenizerTest, SpecialTokensCanBeLeftOut) {
  const std::string text = "<｜begin▁of▁sentence｜>a<｜User｜>b";
  EXPECT_EQ(tokenizer_.decode(tokenizer_.encode(text), true), "a<｜User｜>b");
}

TEST_F(TokenizerTest, DescribesItself) {
  EXPECT_EQ(tokenizer_.vocab_size(), 640);
  EXPECT_EQ(tokenizer_.bos_id(), 0);
  EXPECT_EQ(tokenizer_.eos_id(), 1);
  EXPECT_TRUE(tokenizer_.is_special(0));
  EXPECT_FALSE(tokenizer_.is_special(100));
  EXPECT_FALSE(tokenizer_.is_special(-1));
  EXPECT_TRUE(tokenizer_.fim_tokens());
  EXPECT_EQ(tokenizer_.added_tokens().size(), 18U);
  for (int32_t id = 0; id < tokenizer_.vocab_size(); ++id) {
    EXPECT_EQ(tokenizer_.token_id(tokenizer_.token_bytes(id)), id);
  }
  EXPECT_EQ(tokenizer_.token_bytes(640), "");
  EXPECT_EQ(tokenizer_.token_bytes(-1), "");
  EXPECT_FALSE(tokenizer_.token_id("no such token"));
}

TEST_F(TokenizerTest, ManyThreadsGiveTheSameIds) {
  // Long enough for many tasks; control tokens, digits and line breaks fall on the cuts.
  const std::vector<std::string> words = {
      "the", " token",   " 12345", "\n\n",       "中文", "ア・", "🙂", "  ",
      "'s",  "\xE2\x82", "=====",  "<｜User｜>", "\t",   "é",    "a1b2", "longlonglongword"};
  Rng rng(31);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{300'000}, size_t{1'500'000}}) {
    std::string text;
    while (text.size() < size) text += words[rng.uniform_below(words.size())];
    const std::vector<int32_t> expected = tokenizer_.encode(text);
    for (const int threads : {1, 2, 5}) {
      ThreadPool pool(threads);
      EXPECT_EQ(tokenizer_.encode_parallel(text, pool), expected) << size << " " << threads;
      EXPECT_EQ(tokenizer_.encode_parallel(text, pool, false), tokenizer_.encode(text, false));
    }
  }
  ThreadPool pool(2);
  const std::string run(1'000'000, 'a');  // no safe cut anywhere
  EXPECT_EQ(tokenizer_.encode_parallel(run, pool), tokenizer_.encode(run));
}

TEST(TokenizerConfig, NamesTheControlTokens) {
  const std::string json = read_text_file(golden("deepseek") + "/tokenizer.json");
  const Tokenizer other = Tokenizer::from_json(
      json, R"({"bos_token":{"content":"<｜User｜>"},"eos_token":"<|EOT|>","add_bos_token":true})",
      "test");
  EXPECT_EQ(other.bos_id(), other.token_id("<｜User｜>"));
  EXPECT_EQ(other.eos_id(), other.token_id("<|EOT|>"));
  EXPECT_TRUE(other.add_bos());
  EXPECT_FALSE(Tokenizer::from_json(json, "", "test").add_bos());
}

TEST(Utf8Stream, HoldsBackUnfinishedCharacters) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.push("\x99"), "");
  EXPECT_EQ(stream.push("\x82z"), "🙂z");
  EXPECT_EQ(stream.push("\xC3"), "");
  EXPECT_EQ(stream.push("x"), "\uFFFDx");
  EXPECT_EQ(stream.push("\xFF"), "\uFFFD");  // never the beginning of anything
  EXPECT_EQ(stream.push("\xE0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(stream.push("\xE4\xB8"), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, AnyCutGivesTheSameText) {
  const std::string text = "aé中🙂\xFF\xE2\x82q\xF4\x90\xED\xA0\x80\xC3";
  Utf8Stream whole;
  std::string expected = whole.push(text);
  expected += whole.finish();
  Rng rng(41);
  for (int i = 0; i < 500; ++i) {
    Utf8Stream stream;
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + rng.uniform_below(3);
      out += stream.push(std::string_view(text).substr(at, n));
      at += n;
    }
    ASSERT_EQ(out + stream.finish(), expected);
  }
}

}  // namespace
}  // namespace hadal
