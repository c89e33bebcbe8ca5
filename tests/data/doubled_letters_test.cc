// A merge of two equal halves uses up the pair behind it, too: in "aab" no "ab" is left.
#include <gtest/gtest.h>

#include "tests/data/trained_tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

TEST(DoubledLetters, PairsThatAMergeUsedUpCountNoMore) {
  const test::TemporaryFolder folder;
  const Tokenizer tokenizer =
      test::trained_tokenizer(folder.path(), 3, {{"aab", 10}, {"aa", 5}, {"cd", 6}});
  for (const char* token : {"aa", "aab", "cd"}) EXPECT_TRUE(tokenizer.token_id(token)) << token;
  EXPECT_FALSE(tokenizer.token_id("ab"));
}

}  // namespace
}  // namespace hadal
