// The cache of words keeps those of up to 15 bytes: longer ones that differ in a bit beyond it must
// not be taken for each other.
#include <gtest/gtest.h>

#include "tests/data/trained_tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

TEST(LongWords, WordsThatDifferInOneBitAreDifferentWords) {
  const test::TemporaryFolder folder;
  // Tokens of their own, so that the cache would hold them. 'a' and 'q' differ in the bit 0x10.
  std::string text;
  for (size_t letters = 12; letters <= 18; ++letters) {
    const std::string word = " " + std::string("bcdefghijklmnoprst").substr(0, letters - 1);
    text += word + "a" + word + "q" + word + "a";
  }
  const Tokenizer tokenizer = test::trained_tokenizer(folder.path(), 60, {{text, 5}});
  const std::vector<int32_t> ids = tokenizer.encode(text, false);
  EXPECT_LT(ids.size(), text.size() / 5);
  EXPECT_EQ(tokenizer.decode(ids), text);
}

}  // namespace
}  // namespace hadal
