#include "hadal/data/document_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/utf8.h"
#include "hadal/data/fill_in_middle.h"
#include "tests/data/trained_tokenizer.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

const std::string kText =
    "Mixed text: the quick fox.\nIt says \u00e9\u4e2d\U0001F600, then ends.\n\nThe quick fox "
    "again.\n";

Tokenizer small_tokenizer() {
  const TemporaryFolder folder;
  return test::trained_tokenizer(folder.path(), 60, {{kText, 20}});
}

TEST(FillInMiddle, PartsJoinToTheTextAtCharacterBoundaries) {
  Rng rng(3);
  std::vector<int> cuts(kText.size() + 1);
  double middle_bytes = 0.0;
  for (int round = 0; round < 2000; ++round) {
    const FillInMiddle parts = cut_fill_in_middle(kText, rng);
    EXPECT_EQ(std::string(parts.prefix) + std::string(parts.middle) + std::string(parts.suffix),
              kText);
    EXPECT_TRUE(valid_utf8(parts.prefix) && valid_utf8(parts.middle) && valid_utf8(parts.suffix));
    middle_bytes += static_cast<double>(parts.middle.size());
    ++cuts[parts.prefix.size()];
    ++cuts[parts.prefix.size() + parts.middle.size()];
  }
  for (size_t at = 0; at < cuts.size(); ++at) {
    const bool boundary = utf8_boundary_at_or_before(kText, at) == at;
    // About 4000 / 80 = 50 cuts at every boundary.
    EXPECT_EQ(cuts[at] > 0, boundary) << at;
    EXPECT_LT(cuts[at], 110);
  }
  // Two uniform cuts are a third of the text apart; the standard error of the mean is 0.236 n / 45.
  const auto n = static_cast<double>(kText.size());
  EXPECT_NEAR(middle_bytes / 2000.0, n / 3.0, 0.04 * n);
  EXPECT_EQ(cut_fill_in_middle("", rng).middle, "");
}

TEST(DocumentEncoder, MarksTheBeginningAndTheEnd) {
  const Tokenizer tokenizer = small_tokenizer();
  const DocumentEncoder encoder(tokenizer, {});
  const auto ids = encoder.encode(kText, content_hash(kText));
  ASSERT_GT(ids.size(), 2u);
  EXPECT_EQ(ids.front(), *tokenizer.bos_id());
  EXPECT_EQ(ids.back(), *tokenizer.eos_id());
  EXPECT_EQ(tokenizer.decode({ids.begin() + 1, ids.end() - 1}), kText);
  // A text that spells the end mark does not end the document.
  const std::string spelled = "before <｜end▁of▁sentence｜> after";
  const auto safe = encoder.encode(spelled, content_hash(spelled));
  EXPECT_EQ(std::count(safe.begin(), safe.end(), *tokenizer.eos_id()), 1);
  EXPECT_EQ(tokenizer.decode({safe.begin() + 1, safe.end() - 1}), spelled);
}

TEST(DocumentEncoder, FillInMiddleRoundTrip) {
  const Tokenizer tokenizer = small_tokenizer();
  const auto marks = *tokenizer.fim_tokens();
  const DocumentEncoder encoder(tokenizer, {1.0, 0.0, 5});
  for (uint64_t low = 0; low < 50; ++low) {
    const auto ids = encoder.encode(kText, {0, low});
    ASSERT_EQ(ids[1], marks.begin);
    const auto hole = std::find(ids.begin(), ids.end(), marks.hole);
    const auto end = std::find(ids.begin(), ids.end(), marks.end);
    ASSERT_TRUE(hole < end && end < ids.end() - 1);
    const std::string prefix = tokenizer.decode({ids.begin() + 2, hole});
    const std::string suffix = tokenizer.decode({hole + 1, end});
    const std::string middle = tokenizer.decode({end + 1, ids.end() - 1});
    EXPECT_EQ(prefix + middle + suffix, kText);
  }
}

TEST(DocumentEncoder, RateDecidesHowManyDocumentsAreCut) {
  const Tokenizer tokenizer = small_tokenizer();
  const auto marks = *tokenizer.fim_tokens();
  const DocumentEncoder encoder(tokenizer, {0.1, 0.0, 5});
  int cut = 0;
  for (uint64_t low = 0; low < 1000; ++low) {
    cut += encoder.encode("some text", {0, low})[1] == marks.begin;
  }
  // 100 expected, standard deviation 9.5; five of those.
  EXPECT_NEAR(cut, 100, 48);
}

TEST(DocumentEncoder, BoundarySplitsKeepTheText) {
  const Tokenizer tokenizer = small_tokenizer();
  const DocumentEncoder plain(tokenizer, {}), split(tokenizer, {0.0, 1.0, 5});
  const auto joined = tokenizer.token_id(".\n");
  ASSERT_TRUE(joined) << "the training text has this pair often enough";
  const auto before = plain.encode(kText, {}), after = split.encode(kText, {});
  EXPECT_GT(std::count(before.begin(), before.end(), *joined), 0);
  EXPECT_EQ(std::count(after.begin(), after.end(), *joined), 0);
  EXPECT_EQ(tokenizer.decode({after.begin() + 1, after.end() - 1}), kText);
  // A rate in between cuts some.
  std::string lines;
  for (int i = 0; i < 2000; ++i) lines += "fox.\nIt";
  const auto some = DocumentEncoder(tokenizer, {0.0, 0.1, 5}).encode(lines, {});
  const auto uncut = std::count(some.begin(), some.end(), *joined);
  EXPECT_NEAR(static_cast<double>(uncut), 1800.0, 5 * 13.4);
}

TEST(DocumentEncoder, ThreadsDoNotChangeTheIds) {
  const Tokenizer tokenizer = small_tokenizer();
  const DocumentEncoder encoder(tokenizer, {0.5, 0.5, 9});
  std::string text;
  for (int i = 0; i < 3000; ++i) text += kText;
  ThreadPool pool(3);
  for (uint64_t low = 0; low < 4; ++low) {
    EXPECT_EQ(encoder.encode(text, {0, low}), encoder.encode_parallel(text, {0, low}, pool));
  }
}

TEST(DocumentEncoder, RefusesRatesThatAreNoShares) {
  const Tokenizer tokenizer = small_tokenizer();
  for (const auto& [options, names] :
       {std::pair{DocumentTokenOptions{1.5, 0.0, 0}, "data.fim_rate: not a share (found 1.5"},
        {{0.0, -0.1, 0}, "data.boundary_split_rate: not a share (found -0.1"}}) {
    test::expect_refused<ConfigError>([&, &o = options] { DocumentEncoder(tokenizer, o); }, names);
  }
}

}  // namespace
}  // namespace hadal
