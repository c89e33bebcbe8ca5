// core/json against input that is not JSON, or is too much of it.
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/utf8.h"

namespace hadal::test {
namespace {

std::string refusal(std::string_view text) {
  try {
    parse_json(text, "f");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST(JsonHostileTest, RefusesWhatIsNotJson) {
  const std::string_view table[] = {"",
                                    " ",
                                    "{",
                                    "}",
                                    "[1,]",
                                    "{\"a\":1,}",
                                    "{a:1}",
                                    "'a'",
                                    "NaN",
                                    "Infinity",
                                    "-",
                                    "01",
                                    "1.",
                                    ".5",
                                    "+1",
                                    "1e999",
                                    "nul",
                                    "\"\t\"",
                                    "\"\\x\"",
                                    "\"a",
                                    "[1 2]",
                                    "// c\n1",
                                    "1 2",
                                    "\"\\ud800\"",
                                    "\"\xFF\"",
                                    "\"\xC0\x80\"",
                                    "\"\xED\xA0\x80\"",
                                    {"1\0 2", 4},
                                    {"{}\0", 3},
                                    {"\0", 1}};
  for (const std::string_view text : table) {
    const std::string message = refusal(text);
    EXPECT_NE(message, "") << in_quotes(text);
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(JsonHostileTest, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_NE(refusal(R"({"a":1,"a":1})").find("duplicate key"), std::string::npos);
  EXPECT_NE(refusal(R"([{"b":{"a":1,"\u0061":2}}])").find("duplicate key"), std::string::npos);
  EXPECT_EQ(refusal(R"([{"a":1},{"a":2}])"), "");
}

TEST(JsonHostileTest, DepthIsBounded) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(refusal(nested(256)), "");
  EXPECT_NE(refusal(nested(257)), "");
  EXPECT_NE(refusal(std::string(1'000'000, '[')), "");
}

TEST(InQuotesTest, KeepsErrorsOnOneLine) {
  EXPECT_EQ(in_quotes("a b"), "\"a b\"");
  EXPECT_EQ(in_quotes("a\n\x1b"), "\"a\\x0a\\x1b\"");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')), "\"" + std::string(100, 'x') + "...\"");
}

TEST(InQuotesTest, NothingQuotedHarmsATerminal) {
  EXPECT_EQ(in_quotes("caf\u00e9 \xE9 \xF0\x9F"), "\"caf\u00e9 \\xe9 \\xf0\\x9f\"");
  EXPECT_EQ(in_quotes("\u009b31m"), "\"\\xc2\\x9b31m\"");     // C1: begins a sequence
  EXPECT_EQ(in_quotes("a\u202Eb"), "\"a\\xe2\\x80\\xaeb\"");  // turns the direction
  EXPECT_EQ(in_quotes(std::string(99, 'x') + "\u00e9"), "\"" + std::string(99, 'x') + "...\"");
}

TEST(InQuotesTest, AMessageIsOneBoundedLine) {
  EXPECT_EQ(harmless_line("a.txt: wrong\n\tthere \u00e9"), "a.txt: wrong  there \u00e9");
  EXPECT_EQ(harmless_line("\x1b[2J\xFF"), "\\x1b[2J\\xff");
  std::string long_line = "a.txt: ";
  for (int i = 0; i < 100'000; ++i) long_line += "\u00e9\xE9";
  const std::string cut = harmless_line(long_line + "; mend it");
  EXPECT_LE(cut.size(), kLongestLine);
  EXPECT_TRUE(cut.starts_with("a.txt: "));
  EXPECT_TRUE(cut.ends_with("; mend it"));
  EXPECT_TRUE(valid_utf8(cut));
}

TEST(JsonHostileTest, ErrorsEchoLittleAndNothingHarmful) {
  const std::string megabyte(1 << 20, 'x');
  for (const std::string& text :
       {"{\"" + megabyte + "\":1,\"" + megabyte + "\":2}", "[\"" + megabyte + "\x01\"]",
        "[\"" + megabyte + "\xFF\"]", std::string("[\x1b[2J]")}) {
    const std::string message = refusal(text);
    EXPECT_NE(message, "");
    EXPECT_LT(message.size(), 400U);
    EXPECT_TRUE(valid_utf8(message));
    EXPECT_EQ(message.find('\x1b'), std::string::npos);
  }
}

}  // namespace
}  // namespace hadal::test
