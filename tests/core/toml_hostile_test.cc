// core/toml against text that is not TOML. Each line was once undefined behaviour inside the parser
// below, or an error of two lines.
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/core/toml.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

TEST(TomlHostileTest, EachIsOneLineThatNamesThePlace) {
  const char* table[] = {"[!]",
                         "[\x15odel]",
                         "a = \xC3\xA9",
                         "\xC3\xA9 = 1",
                         "[[N\xC8\x81",
                         "a = tr\n",
                         "a = 1\xC8\x81",
                         "a = \"\xFF\"",
                         "a = 1\na = 2",
                         "a = {",
                         "[a",
                         "a = 2026-13-01",
                         "a = 1e999999",
                         "\"a",
                         "a = [1,",
                         "a.b = 1\na = 2",
                         "= 1",
                         "a = 9223372036854775808"};
  for (const char* text : table) {
    std::string message;
    try {
      parse_toml(text, "run.toml");
    } catch (const FormatError& error) {
      message = error.what();
    }
    EXPECT_TRUE(message.starts_with("run.toml: line ")) << text << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(TomlHostileTest, DepthIsBounded) {
  expect_refused<FormatError>([] { parse_toml("a = " + std::string(100'000, '['), "f"); },
                              "f: line 1: not valid TOML (");
}

}  // namespace
}  // namespace hadal::test
