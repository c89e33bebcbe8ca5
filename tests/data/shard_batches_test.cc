#include "hadal/data/shard_batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "hadal/core/error.h"
#include "hadal/data/packing.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

// Row i is [i, i, i, pad or i].
TokenShards numbered_shards(const TemporaryFolder& folder, int n, uint64_t tokenizer_hash = 1) {
  TokenShardWriter writer(folder.path(), "train", {1000, 4, tokenizer_hash}, 5 * 4 * 2);
  for (int32_t i = 0; i < n; ++i) {
    writer.add_row(std::vector<int32_t>{i, i, i, i % 2 == 0 ? kPadToken : i});
  }
  writer.finish();
  return TokenShards::open(folder.path(), "train");
}

std::vector<int32_t> first_tokens(const Batch& batch) {
  std::vector<int32_t> result;
  for (int64_t s = 0; s < batch.n_sequences; ++s) {
    result.push_back(batch.tokens[static_cast<size_t>(s * batch.length)]);
  }
  return result;
}

TEST(ShuffledOrder, IsAPermutationThatDependsOnSeedAndEpoch) {
  std::set<std::vector<int64_t>> orders;
  for (const int64_t n : {1, 2, 3, 4, 5, 63, 64, 65, 1000}) {
    for (const uint64_t seed : {0u, 1u}) {
      for (const uint64_t epoch : {0u, 1u}) {
        const ShuffledOrder order(n, seed, epoch);
        std::vector<int64_t> places;
        for (int64_t i = 0; i < n; ++i) places.push_back(order.at(i));
        if (n >= 63) {
          EXPECT_TRUE(orders.insert(places).second);
        }
        std::sort(places.begin(), places.end());
        std::vector<int64_t> all(static_cast<size_t>(n));
        std::iota(all.begin(), all.end(), 0);
        ASSERT_EQ(places, all);
      }
    }
  }
}

TEST(ShuffledOrder, MovesThingsEvenly) {
  // Where does item 0..9 of 1000 go over 400 seeds? The mean of a uniform place is 499.5, with a
  // standard error of 288.7 / sqrt(4000) = 4.6; six of those.
  double sum = 0.0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const ShuffledOrder order(1000, seed, 0);
    for (int64_t i = 0; i < 10; ++i) sum += static_cast<double>(order.at(i));
  }
  EXPECT_NEAR(sum / 4000.0, 499.5, 27.4);
}

TEST(ShardBatches, TargetsAreTheNextTokensAndPaddingIsIgnored) {
  const TemporaryFolder folder;
  const TokenShards shards = numbered_shards(folder, 3);
  const Batch batch = read_batch(shards, 1, 2, 99);
  EXPECT_EQ(batch.length, 3);
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{1, 1, 1, 2, 2, 2}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{1, 1, 1, 2, 2, -1}));
}

TEST(ShardBatches, PaddingAmongTheInputsIsTheEndMark) {
  const TemporaryFolder folder;
  TokenShardWriter writer(folder.path(), "train", {1000, 5, 1});
  writer.add_row(std::vector<int32_t>{5, 6, kPadToken, 7, 8});
  writer.add_row(std::vector<int32_t>{5, 6, kPadToken, kPadToken, kPadToken});
  writer.finish();
  const Batch batch = read_batch(TokenShards::open(folder.path(), "train"), 0, 2, 99);
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{5, 6, 99, 7, 5, 6, 99, 99}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{6, -1, -1, 8, 6, -1, -1, -1}));
}

TEST(ShardBatches, EachEpochHasEveryRowOnceInAnotherOrder) {
  const TemporaryFolder folder;
  ShardBatches batches(numbered_shards(folder, 23), 23, 7, 99);
  const auto first = first_tokens(batches.next(23)), second = first_tokens(batches.next(23));
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set<int32_t>(first.begin(), first.end()).size(), 23u);
  EXPECT_EQ(std::set<int32_t>(second.begin(), second.end()).size(), 23u);
}

TEST(ShardBatches, ResumesExactlyFromEveryPosition) {
  const TemporaryFolder folder;
  ShardBatches whole(numbered_shards(folder, 11), 11, 7, 99);
  std::vector<int32_t> sequence;
  std::vector<Json> positions;
  for (int i = 0; i < 40; ++i) {
    positions.push_back(whole.position());
    sequence.push_back(first_tokens(whole.next(1)).front());
  }
  for (size_t from = 0; from < positions.size(); ++from) {
    ShardBatches resumed(TokenShards::open(folder.path(), "train"), 11, 7, 99);
    resumed.next(3);  // wherever it stood before
    // Through text, as a checkpoint keeps it.
    resumed.restore(parse_json(positions[from].dump(), "position"));
    const auto rest = first_tokens(resumed.next(static_cast<int64_t>(sequence.size() - from)));
    ASSERT_EQ(rest,
              std::vector<int32_t>(sequence.begin() + static_cast<int64_t>(from), sequence.end()));
  }
}

TEST(ShardBatches, PositionsOfOtherDataAreRefused) {
  const TemporaryFolder folder, other;
  ShardBatches batches(numbered_shards(folder, 11), 11, ~uint64_t{0}, 99);
  const Json position = batches.position();
  batches.restore(position);
  ShardBatches other_seed(TokenShards::open(folder.path(), "train"), 11, 8, 99);
  ShardBatches other_data(numbered_shards(other, 11, 2), 11, ~uint64_t{0}, 99);
  for (ShardBatches* others : {&other_seed, &other_data}) {
    test::expect_refused<FormatError>([&] { others->restore(position); },
                                      "data position: belongs to other data or another seed");
  }
  const struct {
    const char* key;
    Json value;
    const char* problem;
  } table[] = {{"epoch", "x", "epoch: not a count (found string"},
               {"cursor", "x", "cursor: not a count (found string"},
               {"cursor", ~uint64_t{0}, "cursor: not a count (found integer"},
               {"seed", "x", "belongs to other data or another seed"},
               {"data", "x", "belongs to other data or another seed"},
               {"epoch", -1, "out of range (found epoch -1, sequence 0"},
               {"cursor", -1, "out of range (found epoch 0, sequence -1"},
               {"cursor", 11, "out of range (found epoch 0, sequence 11"},
               {"cursor", int64_t{1} << 60, "out of range (found epoch 0, sequence 1152921504606"}};
  for (const auto& row : table) {
    Json broken = position;
    broken[row.key] = row.value;
    test::expect_refused<FormatError>([&] { batches.restore(broken); },
                                      concat("data position: ", row.problem));
  }
  for (const Json& nothing : {Json(), Json::object()}) {
    test::expect_refused<FormatError>([&] { batches.restore(nothing); },
                                      "data position: data: missing");
  }
}

TEST(ShardBatches, NothingToTrainOnIsSaid) {
  const TemporaryFolder folder;
  test::expect_refused<FormatError>([&] { ShardBatches(numbered_shards(folder, 0), 0, 1, 99); },
                                    "data: no text is left to train on");
}

}  // namespace
}  // namespace hadal
