#include "hadal/corpus/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hadal/core/rng.h"

namespace hadal {
namespace {

std::vector<MixedDocument> documents_of(const std::vector<int>& counts, int longest) {
  std::vector<MixedDocument> documents;
  Rng rng(9);
  for (size_t source = 0; source < counts.size(); ++source) {
    for (int i = 0; i < counts[source]; ++i) {
      const auto size = static_cast<int64_t>(2 + rng.uniform_below(static_cast<uint64_t>(longest)));
      documents.push_back({{rng.next_u64(), rng.next_u64()}, static_cast<int64_t>(source), size});
    }
  }
  return documents;
}

TEST(Mixture, SharesComeOutToATenthOfAPercent) {
  const std::vector<double> shares = {87, 10, 3};
  for (const std::vector<int>& counts :
       {std::vector{900, 400, 300}, std::vector{5000, 200, 4000}, std::vector{4000, 4000, 100}}) {
    const std::vector<MixedDocument> documents = documents_of(counts, 2000);
    const Mixture mixture = mix(documents, shares);
    std::vector<int64_t> sizes(3);
    for (size_t i = 0; i < documents.size(); ++i) {
      if (mixture.taken[i]) sizes[static_cast<size_t>(documents[i].source)] += documents[i].size;
    }
    EXPECT_EQ(sizes, mixture.size);
    EXPECT_LT(largest_deviation(mixture.size, shares), 1e-3);
    // One source is there as a whole.
    int whole = 0;
    for (int64_t source = 0; source < 3; ++source) {
      bool all = true;
      for (size_t i = 0; i < documents.size(); ++i) {
        if (documents[i].source == source && !mixture.taken[i]) all = false;
      }
      whole += int{all};
    }
    EXPECT_EQ(whole, 1);
  }
}

TEST(Mixture, WhatIsTakenDoesNotDependOnTheOrderOfTheDocuments) {
  std::vector<MixedDocument> documents = documents_of({300, 100}, 500);
  const auto taken = [&] {
    std::vector<uint64_t> hashes;
    const Mixture mixture = mix(documents, std::vector<double>{1, 1});
    for (size_t i = 0; i < documents.size(); ++i) {
      if (mixture.taken[i]) hashes.push_back(documents[i].hash.low);
    }
    std::sort(hashes.begin(), hashes.end());
    return hashes;
  };
  const std::vector<uint64_t> before = taken();
  std::reverse(documents.begin(), documents.end());
  EXPECT_EQ(taken(), before);
}

// The 45 that are there of the other source, to the last: 10, 20 and 15 from files of the large one.
TEST(Mixture, OfSeveralFilesThoseAreTakenThatFit) {
  const std::vector<MixedDocument> documents = {
      {{1, 2}, 0, 5}, {{1, 1}, 0, 107, {10, 60, 20, 15, 2}}, {{1, 3}, 1, 45}};
  const Mixture mixture = mix(documents, std::vector<double>{1, 1});
  EXPECT_EQ(mixture.taken, (std::vector<bool>{false, true, true}));
  ASSERT_EQ(mixture.files.size(), 1U);
  EXPECT_EQ(mixture.files.at(1), (std::vector<bool>{true, false, true, true, false}));
  EXPECT_EQ(mixture.size, (std::vector<int64_t>{45, 45}));
}

// One that fits is never cut, one of which no file fits is left out.
TEST(Mixture, ADocumentIsCutOnlyIfItMustBe) {
  std::vector<MixedDocument> documents = {
      {{1, 1}, 0, 30, {10, 20}}, {{1, 2}, 0, 31, {15, 16}}, {{1, 3}, 1, 40}};
  const Mixture mixture = mix(documents, std::vector<double>{1, 1});
  EXPECT_EQ(mixture.taken, (std::vector<bool>{true, false, true}));
  EXPECT_TRUE(mixture.files.empty());
  EXPECT_EQ(mixture.size, (std::vector<int64_t>{30, 40}));
}

TEST(Mixture, ASourceWithoutTextLeavesNothing) {
  const std::vector<MixedDocument> documents = documents_of({5}, 50);
  const Mixture mixture = mix(documents, std::vector<double>{1, 1});
  EXPECT_EQ(mixture.size, (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(largest_deviation(mixture.size, std::vector<double>{1, 1}), 0.5);
}

}  // namespace
}  // namespace hadal
