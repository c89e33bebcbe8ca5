#include "hadal/corpus/content_hash.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(ContentHash, EveryRunOfWhiteSpaceIsOneSpaceAndNoneStandsAtTheEnds) {
  const ContentHash hash = content_hash("two words");
  for (const char* same : {"two  words", "\t two\r\nwords\n", " two\v\f words "}) {
    EXPECT_EQ(content_hash(same), hash) << same;
  }
  EXPECT_NE(content_hash("twowords"), hash);
  EXPECT_EQ(content_hash("two words"), exact_hash("two words"));
}

// Longer than any buffer in between: the hash is of the whole text.
TEST(ContentHash, EveryByteOfALongTextCounts) {
  const std::string text(20000, 'x');
  EXPECT_EQ(content_hash(text), exact_hash(text));
  for (const size_t at : {size_t{0}, size_t{4095}, size_t{4096}, text.size() - 1}) {
    std::string other = text;
    other[at] = 'y';
    EXPECT_NE(content_hash(other), content_hash(text)) << at;
  }
}

}  // namespace
}  // namespace hadal
