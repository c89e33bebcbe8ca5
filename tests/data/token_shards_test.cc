#include "hadal/data/token_shards.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "hadal/data/packing.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

std::vector<std::vector<int32_t>> random_rows(int n, int64_t row_tokens, int64_t vocab_size) {
  Rng rng(1);
  std::vector<std::vector<int32_t>> rows(static_cast<size_t>(n));
  for (auto& row : rows) {
    row.resize(static_cast<size_t>(row_tokens), kPadToken);
    const auto used = 1 + rng.uniform_below(static_cast<uint64_t>(row_tokens));
    for (size_t t = 0; t < used; ++t) {
      row[t] = static_cast<int32_t>(rng.uniform_below(static_cast<uint64_t>(vocab_size)));
    }
    row[0] = static_cast<int32_t>(vocab_size - 1);
  }
  return rows;
}

void write_shards(const std::string& folder, const ShardShape& shape,
                  const std::vector<std::vector<int32_t>>& rows, int64_t shard_bytes) {
  TokenShardWriter writer(folder, "train", shape, shard_bytes);
  for (const auto& row : rows) writer.add_row(row);
  writer.finish();
}

TEST(TokenShards, RowsComeBackFromOneFileOrMany) {
  // 65535 ids still fit in two bytes (the last value is padding); 65536 do not.
  for (const int64_t vocab_size : {int64_t{300}, int64_t{65535}, int64_t{65536}, int64_t{129280}}) {
    const ShardShape shape{vocab_size, 17, 42};
    const auto rows = random_rows(23, 17, vocab_size);
    uint64_t hash = 0;
    for (const int64_t shard_bytes : {int64_t{1} << 20, int64_t{17 * 4 * 5}, int64_t{1}}) {
      const TemporaryFolder folder;
      write_shards(folder.path(), shape, rows, shard_bytes);
      const TokenShards shards = TokenShards::open(folder.path(), "train");
      ASSERT_EQ(shards.n_rows(), 23);
      EXPECT_EQ(shards.shape(), shape);
      for (int64_t i = 0; i < 23; ++i) {
        std::vector<int32_t> row(17);
        shards.read_row(i, row);
        ASSERT_EQ(row, rows[static_cast<size_t>(i)]);
      }
      EXPECT_NE(shards.hash(), hash);
      hash = shards.hash();
    }
    const TemporaryFolder folder;
    write_shards(folder.path(), shape, rows, 1 << 20);
    EXPECT_EQ(std::filesystem::file_size(folder / "train-00000.tokens"),
              64u + 23 * 17 * (vocab_size <= 65535 ? 2u : 4u));
  }
}

TEST(TokenShards, RefusesIdsThatDoNotBelong) {
  const TemporaryFolder folder;
  TokenShardWriter writer(folder.path(), "train", {100, 3, 0});
  const std::pair<std::vector<int32_t>, const char*> rows[] = {
      {{1, 100, 2}, "got id 100"}, {{1, -2, 2}, "got id -2"}, {{1, 2}, "got 2 tokens"}};
  for (const auto& [row, problem] : rows) {
    test::expect_refused<ShapeError>([&writer, &tokens = row] { writer.add_row(tokens); },
                                     concat("token shard row: ", problem));
  }
}

TEST(TokenShards, AnyChangedByteIsNoticed) {
  const TemporaryFolder folder;
  write_shards(folder.path(), {300, 9, 42}, random_rows(4, 9, 300), 1 << 20);
  const std::string path = folder / "train-00000.tokens";
  const std::string whole = test::read_bytes(path);
  ASSERT_EQ(whole.size(), 64u + 4 * 9 * 2);
  const auto expect_damage = [&](const std::string& bytes, const char* problem) {
    folder.write("train-00000.tokens", bytes);
    test::expect_refused<FormatError>([&] { TokenShards::open(folder.path(), "train"); },
                                      concat(path, ": ", problem));
  };
  for (size_t at = 0; at < whole.size(); ++at) {
    SCOPED_TRACE(at);
    const char* problem = at < 8    ? "not a token shard"
                          : at < 12 ? "unknown version"
                          : at < 64 ? "the header's checksum is wrong"
                                    : "the checksum of the rows is wrong";
    for (const int bit : {0, 7}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      expect_damage(damaged, problem);
    }
  }
  for (size_t kept = 0; kept < whole.size(); ++kept) {
    SCOPED_TRACE(kept);
    expect_damage(whole.substr(0, kept), kept < 64 ? "too short" : "wrong length");
  }
  expect_damage(whole + "x", "wrong length (found 73 bytes of rows");
  test::expect_refused<FormatError>([&] { TokenShards::open(folder.path(), "validation"); },
                                    (folder / "validation-00000.tokens") + ": cannot be opened");
}

TEST(TokenShards, ShardsOfDifferentDataAreRefusedTogether) {
  const TemporaryFolder one, other;
  write_shards(one.path(), {300, 9, 42}, random_rows(4, 9, 300), 2 * 9 * 2);
  write_shards(other.path(), {300, 9, 43}, random_rows(4, 9, 300), 2 * 9 * 2);
  one.write("train-00001.tokens", test::read_bytes(other / "train-00001.tokens"));
  test::expect_refused<FormatError>([&] { TokenShards::open(one.path(), "train"); },
                                    (one / "train-00001.tokens") + ": belongs to other data");
}

}  // namespace
}  // namespace hadal
