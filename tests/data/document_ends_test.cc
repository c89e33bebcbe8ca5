// The ends of middles, and what tells prepared data apart.
#include <gtest/gtest.h>

#include <set>

#include "hadal/data/document_tokens.h"
#include "hadal/data/fill_in_middle.h"
#include "hadal/data/prepared_folder.h"
#include "hadal/data/token_shards.h"
#include "tests/data/trained_tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

const std::string kShortText = "A short text, twice: a short text.\n";

TEST(DocumentEnds, TheMiddleMayBeginAndEndAtEitherEndOfTheText) {
  Rng rng(2);
  std::set<std::pair<size_t, size_t>> cuts;
  for (int round = 0; round < 300; ++round) {
    const FillInMiddle parts = cut_fill_in_middle("ab", rng);
    cuts.emplace(parts.prefix.size(), parts.prefix.size() + parts.middle.size());
  }
  EXPECT_EQ(cuts.size(), 6U) << "0-0, 0-1, 0-2, 1-1, 1-2, 2-2";
}

// Where a document is cut is drawn anew for every document.
TEST(DocumentEnds, DocumentsAreCutAtPlacesOfTheirOwn) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = test::trained_tokenizer(folder.path(), 10, {{kShortText, 1}});
  const DocumentEncoder encoder(tokenizer, {1.0, 0.0, 5});
  std::set<std::vector<int32_t>> different;
  for (uint64_t low = 0; low < 200; ++low) different.insert(encoder.encode(kShortText, {0, low}));
  // 630 pairs of places: 200 draws are some 170 of them, the standard deviation below 10.
  EXPECT_GT(different.size(), 120U);
}

TEST(SourceFilesHash, AFileThatChangedWithoutChangingItsSizeIsAnother) {
  const SourceFile file{"a.txt", 12, 1000, 0, ""};
  SourceFile later = file, longer = file, other = file;
  later.modified_ns = 1001;
  longer.bytes = 13;
  other.path = "b.txt";
  for (const SourceFile& changed : {later, longer, other}) {
    EXPECT_NE(source_files_hash({changed}), source_files_hash({file}));
  }
  EXPECT_NE(source_files_hash({file, other}), source_files_hash({file}));
}

uint64_t hash_of_shards(const std::vector<std::vector<int32_t>>& rows) {
  const TemporaryFolder folder;
  TokenShardWriter writer(folder.path(), "train", {300, 2, 42}, /*shard_bytes=*/1);
  for (const auto& row : rows) writer.add_row(row);
  writer.finish();
  const TokenShards shards = TokenShards::open(folder.path(), "train");
  EXPECT_EQ(shards.n_shards(), static_cast<int64_t>(rows.size()));
  return shards.hash();
}

TEST(TokenShardHash, IsOfEveryShardAndTheirOrder) {
  const uint64_t hash = hash_of_shards({{1, 2}, {3, 4}, {5, 6}});
  EXPECT_EQ(hash_of_shards({{1, 2}, {3, 4}, {5, 6}}), hash);
  EXPECT_NE(hash_of_shards({{1, 1}, {3, 4}, {5, 6}}), hash);
  EXPECT_NE(hash_of_shards({{3, 4}, {1, 2}, {5, 6}}), hash);
  EXPECT_NE(hash_of_shards({{5, 6}}), hash);
}

}  // namespace
}  // namespace hadal
