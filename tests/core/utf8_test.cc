#include "hadal/core/utf8.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

// Unicode 15, table 3-7: the first and the last of every range of well-formed characters.
TEST(Utf8, CharactersOfEveryLength) {
  for (const std::string text : {"\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                                 "\xEE\x80\x80", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(utf8_character_length(text, 0), static_cast<int>(text.size()));
    EXPECT_TRUE(valid_utf8(text));
  }
}

// Overlong forms, surrogates, beyond U+10FFFF, bytes that begin nothing, and a character cut short.
TEST(Utf8, WhatIsJustBesideThemIsNone) {
  for (const std::string text :
       {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE4\xBD", "\xF0\x9F\x98"}) {
    EXPECT_EQ(utf8_character_length(text, 0), 0);
    EXPECT_FALSE(valid_utf8(text));
  }
}

TEST(Utf8, EveryMaximalSubpartBecomesOneReplacement) {
  EXPECT_EQ(repair_utf8("a\xF0\x9F\x98z"), "a\uFFFDz");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // no beginning of a character
  const Utf8Flaws flaws = utf8_flaws("a\nb\xFF\n\xC2");
  EXPECT_EQ(flaws.count, 2);
  EXPECT_EQ(flaws.first_line, 2);
}

TEST(Utf8, AppendsCodePointsAndNoSurrogates) {
  std::string text;
  for (const uint32_t point : {0x7FU, 0x80U, 0x7FFU, 0x800U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    append_utf8(text, point);
  }
  EXPECT_EQ(text, "\x7F\u0080\u07FF\u0800\uFFFF\U00010000\U0010FFFF");
  for (const uint32_t none : {0xD800U, 0xDFFFU, 0x110000U}) {
    std::string replaced;
    append_utf8(replaced, none);
    EXPECT_EQ(replaced, "\uFFFD");
  }
}

}  // namespace
}  // namespace hadal
