// Drafts from the text's repetitions, against a search through the whole text.
#include "hadal/infer/ngram_drafter.h"

#include <numeric>

#include "gtest/gtest.h"
#include "hadal/core/rng.h"

namespace hadal {
namespace {

std::vector<int32_t> propose(const std::vector<int32_t>& text, int64_t most) {
  NgramDrafter drafter;
  drafter.observe(text);
  return drafter.propose(text, most);
}

using Ids = std::vector<int32_t>;

TEST(NgramDrafter, ProposesWhatFollowedTheLongestSuffixThatStoodBefore) {
  EXPECT_EQ(propose({1, 2, 3, 4, 5, 9, 1, 2, 3, 4}, 2), (Ids{5, 9}));
  EXPECT_EQ(propose({7, 3, 4, 8, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4}, 1), Ids{5}) << "four beat two";
  EXPECT_EQ(propose({3, 4, 8, 3, 4, 9, 6, 3, 4}, 1), Ids{9}) << "the latest place";
  EXPECT_TRUE(propose({1, 2, 3, 4, 5}, 4).empty());
  EXPECT_TRUE(propose({5}, 4).empty());
  EXPECT_TRUE(propose({5, 6, 5}, 4).empty()) << "one token is too few";
}

TEST(NgramDrafter, ARepetitionGoesOn) {
  EXPECT_EQ(propose({8, 1, 2, 3, 1, 2, 3}, 7), (Ids{1, 2, 3, 1, 2, 3, 1}));
  EXPECT_EQ(propose({4, 4, 4}, 3), (Ids{4, 4, 4}));
}

TEST(NgramDrafter, GrowingTablesKeepTheLastPlace) {
  Ids text(32);
  std::iota(text.begin(), text.end(), 1);
  NgramDrafter drafter;
  drafter.observe(std::span(text).first(1));  // tables for 32 tokens
  drafter.observe(text);
  for (const int32_t token : {31, 32}) {
    text.push_back(token);
    drafter.observe(text);
  }
  EXPECT_EQ(drafter.match_length(), 2);
}

// Tokens come one by one or many at once, tables grow, hashes meet; what a search finds is proposed,
// or a shorter match when a later suffix took the place of the longer one.
TEST(NgramDrafter, FindsWhatASearchFinds) {
  Rng rng(3);
  Ids text;
  NgramDrafter drafter;
  int64_t matches = 0, found = 0;
  while (text.size() < 3000) {
    const uint64_t n = 1 + rng.uniform_below(3);
    for (uint64_t i = 0; i < n; ++i) text.push_back(static_cast<int32_t>(rng.uniform_below(12)));
    drafter.observe(text);
    const int64_t size = std::ssize(text);
    int64_t want = 0;
    for (int64_t length = 2; length <= std::min<int64_t>(4, size); ++length) {
      const auto suffix = text.end() - length;
      if (std::search(text.begin(), text.end() - 1, suffix, text.end()) != text.end() - 1) {
        want = length;
      }
    }
    matches += want > 0;
    found += want > 0 && drafter.match_length() == want;
    ASSERT_LE(drafter.match_length(), want);
    if (drafter.match_length() == 0) continue;
    const Ids next = drafter.propose(text, 1);
    Ids stood(text.end() - drafter.match_length(), text.end());
    stood.push_back(next.front());
    EXPECT_NE(std::search(text.begin(), text.end(), stood.begin(), stood.end()), text.end());
  }
  EXPECT_GT(static_cast<double>(found), 0.9 * static_cast<double>(matches));
}

}  // namespace
}  // namespace hadal
