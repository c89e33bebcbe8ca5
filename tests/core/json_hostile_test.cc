// core/json against input that is not JSON, or is too much of it.
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"

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

}  // namespace
}  // namespace hadal::test
