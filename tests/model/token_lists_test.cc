#include "hadal/model/token_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/error.h"

namespace hadal {
namespace {

TEST(TokenLists, ReadsListsOfIds) {
  EXPECT_EQ(parse_token_lists("[[5, 0], [99]]", "f", 100), (TokenLists{{5, 0}, {99}}));
}

TEST(TokenLists, RefusesEverythingElseInOneLine) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"[5, 6]", "list 0: not a list (found integer"},
      {"[]", "found an empty list"},
      {"{}", "found object"},
      {"7", "found integer"},
      {"[[1], []]", "list 1: empty"},
      {"[[1, \"a\"]]", "list 0, id 1: not a token id (found string"},
      {"[[1, 2.5]]", "id 1: not a token id (found number 2.5"},
      {"[[true]]", "id 0: not a token id (found boolean"},
      {"[[null]]", "found null"},
      {"[[[1]]]", "found array"},
      {"[[100]]", "out of range (found 100, expected 0 to 99)"},
      {"[[-1]]", "out of range (found -1"},
      {"[[99999999999999999999999]]", "found"},
      {"[[18446744073709551615]]", "out of range"},
      {"[[1], [2", "f"},
      {"", "f"},
  };
  for (const auto& [text, want] : bad) {
    try {
      parse_token_lists(text, "f", 100);
      ADD_FAILURE() << text << " was accepted";
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(want)) << text;
      EXPECT_THAT(error.what(), ::testing::StartsWith("f")) << text;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << text;
    }
  }
}

}  // namespace
}  // namespace hadal
