// What is found of earlier sequences, row for row, and that nobody writes to what others read.
#include "hadal/infer/prefix_cache.h"

#include <numeric>

#include "gtest/gtest.h"
#include "tests/infer/one_sequence.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::elements;
using test::odd_config;
using test::RandomModel;

using Tokens = std::vector<int32_t>;

Tokens counted(int32_t first, int64_t n) {
  Tokens tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}
Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class PrefixCacheTest : public testing::Test {
 protected:
  // Rows that hold the number of the token; of module k that of the k + 1st after it, and so it lags as
  // many rows behind.
  void append(LatentSequence& sequence, const Tokens& tokens) {
    const int64_t begin = sequence.length(), n = std::ssize(tokens) - begin;
    ASSERT_TRUE(sequence.reserve(std::ssize(tokens)));
    for (int64_t layer = 0; layer < sequence.pages().n_layers(); ++layer) {
      const int64_t module = std::max<int64_t>(0, layer + 1 - sequence.pages().n_main());
      const int64_t from = sequence.length(layer), to = std::max(from, begin + n - module);
      Tensor rows = random_.ctx.empty({to - from, sequence.pages().layout().d_row()});
      for (int64_t t = from; t < to; ++t) {
        std::ranges::fill(
            rows.mat().row(t - from),
            static_cast<float>(tokens[static_cast<size_t>(t + module)] + 1000 * layer));
      }
      sequence.append(random_.ctx, layer, rows.mat());
    }
  }
  void expect_rows_of(const LatentSequence& sequence, const Tokens& tokens) {
    for (int64_t layer = 0; layer < sequence.pages().n_layers(); ++layer) {
      const int64_t module = std::max<int64_t>(0, layer + 1 - sequence.pages().n_main());
      const Tensor rows = test::cached_rows(random_.ctx, sequence, layer);
      for (int64_t t = 0; t < sequence.length(layer); ++t) {
        ASSERT_EQ(rows.mat().row(t).front(),
                  static_cast<float>(tokens[static_cast<size_t>(t + module)] + 1000 * layer))
            << "layer " << layer << ", row " << t;
      }
    }
  }
  // The rows that a prompt finds.
  int64_t found(PrefixCache& prefixes, LatentPages& pages, const Tokens& prompt) {
    LatentSequence sequence(pages);
    const int64_t n = prefixes.adopt(prompt, sequence).n_rows;
    expect_rows_of(sequence, prompt);
    return n;
  }
  void keep(PrefixCache& prefixes, LatentPages& pages, const Tokens& tokens, int64_t n_read = 0) {
    LatentSequence sequence(pages);
    append(sequence, tokens);
    prefixes.store(tokens, n_read, sequence);
  }

  RandomModel random_{odd_config()};
  LatentPages pages_{random_.model.config, 8, 0, LatentForm::kF32};
};

TEST_F(PrefixCacheTest, FindsTheLongestCommonBeginningWhereverItEnds) {
  PrefixCache prefixes(pages_);
  const Tokens known = counted(1, 150);
  EXPECT_EQ(found(prefixes, pages_, known), 0);
  keep(prefixes, pages_, known);
  EXPECT_EQ(pages_.n_free(), 8) << "kept pages are there for the asking";
  for (const int64_t n : {1, 2, 63, 64, 65, 127, 128, 129, 149}) {
    Tokens prompt = counted(1, n);
    EXPECT_EQ(found(prefixes, pages_, prompt), n - 1) << "the last token is run again";
    prompt.push_back(999);
    EXPECT_EQ(found(prefixes, pages_, prompt), n);
  }
  EXPECT_EQ(found(prefixes, pages_, counted(1, 300)), 150);
  EXPECT_EQ(found(prefixes, pages_, counted(2, 100)), 0);
}

TEST_F(PrefixCacheTest, ModulesNeedAsManyRowsMore) {
  ModelConfig config = odd_config();
  config.n_mtp = 2;
  for (const int64_t n : {20, 64, 65, 66, 130}) {
    LatentPages pages(config, 8, 2, LatentForm::kF32);
    PrefixCache prefixes(pages);
    keep(prefixes, pages, counted(1, n));
    EXPECT_EQ(found(prefixes, pages, counted(1, n + 50)), n - 2) << n;
    EXPECT_EQ(found(prefixes, pages, joined(counted(1, n - 5), {999, 999})), n - 7) << n;
    EXPECT_EQ(found(prefixes, pages, {1, 2, 3}), 0);
    // Equal rows of the main layers behind which the texts part: the modules' are not equal.
    const Tokens other = joined(counted(1, 64), counted(900, 70));
    keep(prefixes, pages, other);
    EXPECT_EQ(found(prefixes, pages, joined(other, {1, 2, 3})), 132) << n;
    // A page that is copied has the modules' rows, too.
    const Tokens parts = joined(counted(1, 64), joined(counted(900, 40), counted(500, 20)));
    LatentSequence sequence(pages);
    EXPECT_EQ(prefixes.adopt(parts, sequence).n_rows, 102);
    append(sequence, parts);
    expect_rows_of(sequence, parts);
  }
}

TEST_F(PrefixCacheTest, TextsThatPartWithinAPageEachKeepTheirOwn) {
  PrefixCache prefixes(pages_);
  const Tokens shared = counted(1, 100);
  const Tokens a = joined(shared, counted(500, 40)), b = joined(shared, counted(700, 20));
  keep(prefixes, pages_, a);
  LatentSequence second(pages_);
  EXPECT_EQ(prefixes.adopt(b, second).n_rows, 100);
  EXPECT_EQ(pages_.n_free(), 6) << "nothing is copied before it is written to";
  append(second, b);
  EXPECT_EQ(pages_.n_free(), 6) << "the page it copied is only kept again";
  prefixes.store(b, 0, second);
  expect_rows_of(second, b);
  EXPECT_EQ(found(prefixes, pages_, joined(a, {1})), 140);
  EXPECT_EQ(found(prefixes, pages_, joined(b, {1})), 120);
  EXPECT_EQ(prefixes.n_blocks(), 4) << "the first page is one for both";
}

TEST_F(PrefixCacheTest, ASequenceThatGoesOnDoesNotChangeWhatItStored) {
  PrefixCache prefixes(pages_);
  LatentSequence sequence(pages_);
  const Tokens beginning = counted(1, 70), whole = counted(1, 100);
  append(sequence, beginning);
  prefixes.store(beginning, 0, sequence);
  const std::vector<int32_t> ids(sequence.page_ids().begin(), sequence.page_ids().end());
  append(sequence, whole);
  EXPECT_TRUE(std::ranges::equal(ids, sequence.page_ids()))
      << "rows behind those stored are its own";
  EXPECT_EQ(found(prefixes, pages_, counted(1, 200)), 70);
  prefixes.store(whole, 0, sequence);
  EXPECT_EQ(found(prefixes, pages_, counted(1, 200)), 100);
  EXPECT_EQ(prefixes.n_blocks(), 2);

  // Cut behind what it stored, it writes elsewhere.
  const Tokens other = joined(counted(1, 80), counted(300, 30));
  sequence.truncate_main(80);
  append(sequence, other);
  expect_rows_of(sequence, other);
  EXPECT_EQ(found(prefixes, pages_, counted(1, 200)), 100);
}

TEST_F(PrefixCacheTest, TwoThatGoOnInOnePageDoNotMeet) {
  PrefixCache prefixes(pages_);
  LatentSequence first(pages_), second(pages_);
  const Tokens beginning = counted(1, 20);
  append(first, beginning);
  prefixes.store(beginning, 0, first);
  const Tokens a = joined(beginning, counted(500, 10)), b = joined(beginning, counted(700, 10));
  EXPECT_EQ(prefixes.adopt(b, second).n_rows, 20);
  append(second, b);
  append(first, a);
  expect_rows_of(first, a);
  expect_rows_of(second, b);
}

TEST_F(PrefixCacheTest, EndsGiveWayBeforeBeginningsAndTheOldestFirst) {
  PrefixCache prefixes(pages_);
  keep(prefixes, pages_, counted(1, 192));  // three pages each
  keep(prefixes, pages_, counted(500, 192));
  EXPECT_EQ(found(prefixes, pages_, counted(1, 200)), 192);  // now the younger one
  LatentSequence large(pages_);
  ASSERT_TRUE(large.reserve(4 * kPageRows));  // two new pages, two ends
  EXPECT_EQ(found(prefixes, pages_, counted(1, 200)), 192);
  EXPECT_EQ(found(prefixes, pages_, counted(500, 200)), 64);
  ASSERT_TRUE(large.reserve(8 * kPageRows));
  EXPECT_EQ(found(prefixes, pages_, counted(1, 200)), 0);
  EXPECT_EQ(prefixes.n_blocks(), 0);
  EXPECT_EQ(pages_.n_free(), 0);
}

// What others own is not taken, and what is lost takes along what rests on it.
TEST_F(PrefixCacheTest, WhatIsInUseStays) {
  PrefixCache prefixes(pages_);
  keep(prefixes, pages_, counted(1, 192));
  LatentSequence user(pages_);
  EXPECT_EQ(prefixes.adopt(counted(1, 65), user).n_rows, 64);
  LatentSequence large(pages_);
  EXPECT_FALSE(large.reserve(8 * kPageRows));
  ASSERT_TRUE(large.reserve(7 * kPageRows));
  expect_rows_of(user, counted(1, 64));
  EXPECT_EQ(found(prefixes, pages_, counted(1, 200)), 64);
}

TEST_F(PrefixCacheTest, RowsOfAnswersAreOnlyReusedWhereRoundingMayDiffer) {
  for (const auto& [reuse, n_a, n_b] :
       {std::tuple(Reuse::kAll, 150, 150), {Reuse::kRead, 100, 20}}) {
    LatentPages pages(random_.model.config, 12, 0, LatentForm::kF32);
    PrefixCache prefixes(pages, reuse);
    keep(prefixes, pages, counted(1, 150), 100);
    keep(prefixes, pages, counted(500, 150), 20);
    EXPECT_EQ(found(prefixes, pages, counted(1, 200)), n_a);
    EXPECT_EQ(found(prefixes, pages, counted(500, 200)), n_b);
    LatentSequence sequence(pages);
    EXPECT_EQ(prefixes.adopt(counted(500, 200), sequence).n_read, 20);
  }
}

// Tokens that an answer left and a prompt has: what prefill makes of them is worth more.
TEST_F(PrefixCacheTest, ReadRowsTakeThePlaceOfAnAnswers) {
  for (const Reuse reuse : {Reuse::kAll, Reuse::kRead}) {
    LatentPages pages(random_.model.config, 12, 0, LatentForm::kF32);
    PrefixCache prefixes(pages, reuse);
    keep(prefixes, pages, counted(1, 150), 0);
    keep(prefixes, pages, counted(1, 64), 64);
    const bool all = reuse == Reuse::kAll;
    EXPECT_EQ(found(prefixes, pages, counted(1, 200)), all ? 150 : 64)
        << "the rest stays behind it";
    EXPECT_EQ(prefixes.n_blocks(), 3);
    keep(prefixes, pages, counted(1, 150), 150);
    EXPECT_EQ(found(prefixes, pages, counted(1, 200)), 150);
    EXPECT_EQ(prefixes.n_blocks(), 3);
  }
}

// A page from disk was read behind read rows, and stands behind an answer's here.
TEST_F(PrefixCacheTest, WhatStandsBehindAnAnswerCountsAsItsRows) {
  const test::TemporaryFolder folder;
  const PageFolder files{folder.path(), 1 << 24, "model"};
  {
    LatentPages pages(random_.model.config, 8, 0, LatentForm::kF32);
    PrefixCache prefixes(pages, Reuse::kAll, files);
    keep(prefixes, pages, counted(1, 192), 192);
  }
  PrefixCache prefixes(pages_, Reuse::kAll, files);
  keep(prefixes, pages_, counted(1, 70), 20);
  for (const char* from : {"disk", "memory"}) {
    LatentSequence sequence(pages_);
    const PrefixCache::Hit hit = prefixes.adopt(counted(1, 200), sequence);
    EXPECT_EQ(hit.n_rows, 192) << from;
    EXPECT_EQ(hit.n_read, 20) << from;
  }
}

TEST_F(PrefixCacheTest, PagesOnDiskAreOfOneModelOneFormAndItsModules) {
  const test::TemporaryFolder folder;
  ModelConfig config = random_.model.config;
  config.n_mtp = 1;
  const auto root = [&](const std::string& model_id, int64_t n_mtp, LatentForm form) {
    const LatentPages pages(config, 1, n_mtp, form);
    return PageFiles({folder.path(), 1 << 24, model_id}, pages).root();
  };
  const BlockKey key = root("a", 0, LatentForm::kBF16);
  EXPECT_EQ(key, root("a", 0, LatentForm::kBF16));
  EXPECT_NE(key, root("b", 0, LatentForm::kBF16));
  EXPECT_NE(key, root("a", 1, LatentForm::kBF16));
  EXPECT_NE(key, root("a", 0, LatentForm::kFp8));
}

}  // namespace
}  // namespace hadal
