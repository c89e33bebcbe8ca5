// Data that go on in longer rows: what was read waits until everything else had its turn.
#include "hadal/data/read_documents.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "hadal/core/rng.h"
#include "hadal/data/dataset.h"
#include "hadal/data/packing.h"
#include "hadal/data/shard_batches.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;
constexpr int32_t kEnd = 1;

// Document d: its number, 300, 301, ... and the end mark.
std::vector<int32_t> numbered_document(int32_t d, size_t length) {
  std::vector<int32_t> ids = {d};
  while (ids.size() + 1 < length) ids.push_back(static_cast<int32_t>(299 + ids.size()));
  ids.push_back(kEnd);
  return ids;
}

TokenShards packed(const TemporaryFolder& folder,
                   const std::vector<std::vector<int32_t>>& documents, int64_t row_tokens) {
  TokenShardWriter writer(folder.path(), "train", {1000, row_tokens, 7});
  DocumentPacker packer(row_tokens, [&](std::span<const int32_t> row) { writer.add_row(row); });
  for (const auto& document : documents) packer.add(document);
  packer.finish();
  writer.finish();
  return TokenShards::open(folder.path(), "train");
}

TEST(ReadDocuments, KnowsADocumentByTheRowOfItsBeginning) {
  const TemporaryFolder folder;
  std::vector<std::vector<int32_t>> documents;
  Rng rng(3);
  for (int32_t d = 0; d < 60; ++d) {  // from a few tokens to several rows of 16
    documents.push_back(numbered_document(100 + d, 2 + rng.uniform_below(40)));
  }
  const TokenShards shards = packed(folder, documents, 16);
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < shards.n_rows(); row += 2) rows.push_back(row);
  const ReadDocuments read(shards, rows, kEnd);
  std::map<int32_t, int64_t> first_row;
  std::vector<int32_t> row(16);
  for (const auto& document : documents) {
    const size_t first = std::min<size_t>(document.size(), 16);
    for (int64_t r = 0; r < shards.n_rows() && !first_row.contains(document[0]); ++r) {
      shards.read_row(r, row);
      const auto found = std::search(row.begin(), row.end(), document.begin(),
                                     document.begin() + static_cast<int64_t>(first));
      if (found != row.end()) first_row[document[0]] = r;
    }
    ASSERT_TRUE(first_row.contains(document[0]));
    EXPECT_EQ(read.contains(document), first_row[document[0]] % 2 == 0) << document[0];
  }
}

class GoingOn : public ::testing::Test {
 protected:
  GoingOn() {
    Rng rng(5);
    for (int i = 0; i < 80; ++i) {
      std::string words = "page " + std::to_string(i) + ": ";
      for (uint64_t n = 5 + rng.uniform_below(60); n > 0; --n) words += "water over stone ";
      text_.write(std::to_string(i) + ".txt", words);
    }
    first_.paths = {text_.path()};
    first_.seq_len = 32;
    first_.vocab_size = 300;
    first_.cache_dir = cache_.path();
  }

  // How often every page stands in the next `rows` rows.
  static std::map<std::string, int> pages_of(PreparedData& data, int64_t rows) {
    std::map<std::string, int> pages;
    for (int64_t i = 0; i < rows; ++i) {
      const Batch batch = data.train->next(1);
      std::vector<int32_t> ids;
      for (size_t t = 0; t < batch.tokens.size(); ++t) {
        if (batch.targets[t] >= 0 || batch.tokens[t] != data.pad_id) ids.push_back(batch.tokens[t]);
      }
      const std::string text = data.tokenizer.decode(ids);
      for (size_t at = text.find("page "); at != std::string::npos;
           at = text.find("page ", at + 1)) {
        const size_t end = text.find(':', at);
        if (end != std::string::npos) ++pages[text.substr(at, end - at)];
      }
    }
    return pages;
  }

  // The data of a second phase with rows of `seq_len`, after `rows` rows of the first.
  DataConfig after(PreparedData& data, const DataConfig& config, int64_t rows, int64_t seq_len) {
    read_ = pages_of(data, rows);
    DataConfig next = config;
    next.seq_len = seq_len;
    next.tokenizer = data.tokenizer_folder;
    next.before = std::make_shared<ReadBefore>(ReadBefore{config, data.train->position()});
    return next;
  }

  TemporaryFolder text_, cache_;
  DataConfig first_;
  ThreadPool pool_{2};
  std::map<std::string, int> read_;
};

TEST_F(GoingOn, UnreadDocumentsComeFirstThenAllOfThem) {
  first_.fim_rate = 0.0;
  PreparedData data = prepare_data(first_, pool_);
  const DataConfig longer = after(data, first_, data.train->n_sequences() / 2, 96);
  PreparedData next = prepare_data(longer, pool_);
  const int64_t unread_rows = next.counts.first_pass_rows;
  ASSERT_GT(unread_rows, 0);
  ASSERT_LT(unread_rows, next.counts.train_rows);
  EXPECT_EQ(next.counts.train_tokens, data.counts.train_tokens);
  std::map<std::string, int> rest = pages_of(next, unread_rows);
  for (const auto& [page, times] : rest) EXPECT_FALSE(read_.contains(page)) << page;
  EXPECT_EQ(read_.size() + rest.size(), static_cast<size_t>(data.counts.corpus.train_documents));
  EXPECT_EQ(pages_of(next, next.counts.train_rows).size(), read_.size() + rest.size());
}

TEST_F(GoingOn, AThirdPhaseKnowsWhatTheFirstHasRead) {
  first_.fim_rate = 0.0;
  PreparedData data = prepare_data(first_, pool_);
  const DataConfig longer = after(data, first_, data.train->n_sequences() / 2, 96);
  std::map<std::string, int> seen = read_;
  PreparedData second = prepare_data(longer, pool_);
  const DataConfig longest = after(second, longer, second.counts.first_pass_rows / 2, 200);
  seen.insert(read_.begin(), read_.end());
  PreparedData third = prepare_data(longest, pool_);
  for (const auto& [page, times] : pages_of(third, third.counts.first_pass_rows)) {
    EXPECT_FALSE(seen.contains(page)) << page;
  }
}

TEST_F(GoingOn, TheSameWhateverIsLeftOfTheFirstPhasesFolder) {
  PreparedData data = prepare_data(first_, pool_);
  const DataConfig longer = after(data, first_, 20, 96);
  PreparedData next = prepare_data(longer, pool_);
  const Batch expected = next.train->next(5);
  EXPECT_TRUE(prepare_data(longer, pool_).reused);
  const TemporaryFolder tokenizer, other_cache;  // as a run keeps it, in its checkpoint
  DataConfig again = longer;
  again.cache_dir = other_cache.path();
  ReadBefore before = *longer.before;
  before.config.cache_dir = other_cache.path();
  again.before = std::make_shared<ReadBefore>(before);
  PreparedData rebuilt = prepare_data(again, pool_);
  EXPECT_FALSE(rebuilt.reused);
  EXPECT_EQ(rebuilt.train->next(5).tokens, expected.tokens);
  before.position["cursor"] = int64_t{21};  // another place is other data
  again.before = std::make_shared<ReadBefore>(before);
  EXPECT_FALSE(prepare_data(again, pool_).reused);
}

TEST_F(GoingOn, WhereThePassHadEndedAllIsUnread) {
  PreparedData data = prepare_data(first_, pool_);
  const DataConfig longer = after(data, first_, data.train->n_sequences(), 96);
  PreparedData next = prepare_data(longer, pool_);
  EXPECT_EQ(next.counts.first_pass_rows, next.counts.train_rows);
}

}  // namespace
}  // namespace hadal
