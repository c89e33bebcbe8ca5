// Units, owners and buckets of any shapes.
#include "hadal/parallel/shard_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

// Five parameters: the last is held by ranks 1 and 2 alone.
const std::vector<Tensor::Shape> kShapes = {{1000, 64}, {300, 100}, {64}, {129, 256}, {40, 128}};

Holders some_holders() { return {.groups = {{0, 1, 2}, {1, 2}}, .group_of = {0, 0, 0, 0, 1}}; }

std::vector<HeldParameter> held_by(int rank) {
  std::vector<HeldParameter> held;
  for (size_t i = 0; i < kShapes.size(); ++i) {
    if (rank > 0 || i < 4) held.push_back({static_cast<int64_t>(i), kShapes[i]});
  }
  return held;
}

TEST(ShardLayout, UnitsKeepBlocksWhole) {
  EXPECT_EQ(unit_rows({1000, 64}), 128);
  EXPECT_EQ(unit_rows({7168, 2048}), 128);
  EXPECT_EQ(unit_rows({1000, 32}), 256);
  EXPECT_EQ(unit_rows({1000, 100}), 2048);  // 100 = 4 * 25
  EXPECT_EQ(unit_rows({1000, 9}), 8192);
  EXPECT_EQ(unit_rows({7168}), 7168);
  for (int64_t width = 1; width < 300; ++width) {
    EXPECT_EQ(unit_rows({1, width}) % 128, 0);
    EXPECT_EQ(unit_rows({1, width}) * width % kSquaresBlock, 0);
  }
}

TEST(ShardLayout, EveryElementHasOneOwner) {
  for (const int rank : {0, 1, 2}) {
    const std::vector<HolderGroup> groups = shard_layout(some_holders(), rank, held_by(rank));
    ASSERT_EQ(groups.size(), rank == 0 ? 1U : 2U);
    std::map<size_t, int64_t> next;
    for (const HolderGroup& group : groups) {
      std::vector<int64_t> owned(group.ranks.size());
      int64_t largest = 0, all = 0;
      for (const Bucket& bucket : group.buckets) {
        for (const ShardUnit& unit : bucket) {
          const Tensor::Shape& shape = kShapes[unit.param];
          EXPECT_EQ(unit.first, next[unit.param]);
          EXPECT_TRUE((unit.last - unit.first) % unit_rows(shape) == 0 || unit.last == shape[0]);
          EXPECT_EQ(unit.elements,
                    (unit.last - unit.first) * (shape.size() == 2 ? shape[1] : int64_t{1}));
          next[unit.param] = unit.last;
          owned.at(unit.owner) += unit.elements;
          largest = std::max(largest, unit.elements);
          all += unit.elements;
        }
      }
      for (const int64_t elements : owned) {
        EXPECT_LE(elements, all / std::ssize(owned) + largest);
      }
    }
    for (const HeldParameter& each : held_by(rank)) {
      EXPECT_EQ(next[static_cast<size_t>(each.position)], each.shape[0]);
    }
  }
}

TEST(ShardLayout, HoldersAgree) {
  const auto of_rank = [](int rank) {
    std::vector<std::tuple<size_t, int64_t, int64_t, size_t>> units;
    for (const HolderGroup& group : shard_layout(some_holders(), rank, held_by(rank), 50'000)) {
      if (group.ranks.size() != 3) continue;
      for (size_t b = 0; b < group.buckets.size(); ++b) {
        for (const ShardUnit& unit : group.buckets[b]) {
          units.emplace_back(b, unit.first, unit.elements, unit.owner);
        }
      }
    }
    return units;
  };
  EXPECT_FALSE(of_rank(0).empty());
  EXPECT_EQ(of_rank(1), of_rank(0));
  EXPECT_EQ(of_rank(2), of_rank(0));
}

TEST(ShardLayout, BucketsAreOfLimitedSizeUnlessOneUnitIsLarger) {
  const int64_t limit = 4 * 20'000;
  size_t several = 0;
  for (const HolderGroup& group : shard_layout(some_holders(), 1, held_by(1), limit)) {
    for (const Bucket& bucket : group.buckets) {
      int64_t bytes = 0;
      for (const ShardUnit& unit : bucket) bytes += 4 * unit.elements;
      EXPECT_TRUE(bytes <= limit || bucket.size() == 1) << bytes;
      EXPECT_GT(bytes, 0);
      several += bucket.size() > 1 ? 1U : 0U;
    }
  }
  EXPECT_GT(several, 1U);
}

TEST(ShardLayout, ABucketHasParametersOfOneLayer) {
  std::vector<HeldParameter> held = held_by(1);
  for (HeldParameter& each : held) each.layer = each.position / 2;
  size_t several = 0;
  for (const HolderGroup& group : shard_layout(some_holders(), 1, held)) {
    for (const Bucket& bucket : group.buckets) {
      for (const ShardUnit& unit : bucket) {
        EXPECT_EQ(held[unit.param].layer, held[bucket.front().param].layer);
      }
      several += bucket.front().param != bucket.back().param ? 1U : 0U;
    }
  }
  EXPECT_GT(several, 0U);
}

}  // namespace
}  // namespace hadal
