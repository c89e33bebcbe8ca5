#include "hadal/measure/byte_ngram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

std::string random_letters(uint64_t seed, int n, uint64_t letters) {
  Rng rng(seed);
  std::string text;
  for (int i = 0; i < n; ++i) {
    // Depends on the byte before, so that contexts matter.
    const uint64_t last = text.empty() ? 0 : static_cast<uint64_t>(text.back() - 'a');
    text += static_cast<char>('a' + (last + rng.uniform_below(1 + letters / 2)) % letters);
  }
  return text;
}

TEST(GramCounts, CountsLikeAMap) {
  Rng rng(1);
  GramCounts counts;
  std::map<uint64_t, uint32_t> expected;
  for (int i = 0; i < 20000; ++i) {
    const uint64_t gram = rng.uniform_below(3000) * 0x0101010101010101;
    counts.add(gram, 2);
    expected[gram] += 2;
  }
  size_t visited = 0;
  counts.for_each([&](uint64_t gram, uint32_t count) {
    EXPECT_EQ(expected.at(gram), count);
    ++visited;
  });
  EXPECT_EQ(visited, expected.size());
  EXPECT_EQ(counts.count(5), 0u);
  counts.add(7, ~uint32_t{0});
  counts.add(7, 1);
  EXPECT_EQ(counts.count(7), ~uint32_t{0});
}

TEST(ByteNgram, ProbabilitiesOfAllBytesSumToOne) {
  for (const int order : {0, 1, 3, 5, 6}) {
    ByteNgram model(order);
    for (uint64_t d = 0; d < 5; ++d) model.add(random_letters(d, 400, 6));
    model.add("x");
    model.finish();
    for (const char* context : {"", "a", "abcabc", "zzzzzz", "aaaz", "bcdefa", "x"}) {
      double sum = 0.0, smallest = 1.0;
      for (int next = 0; next < 256; ++next) {
        const double p = model.probability(context, static_cast<unsigned char>(next));
        sum += p;
        smallest = std::min(smallest, p);
      }
      EXPECT_NEAR(sum, 1.0, 1e-12) << order << " after " << context;
      EXPECT_GT(smallest, 0.0);
    }
  }
}

TEST(ByteNgram, UntrainedModelKnowsNothing) {
  ByteNgram model(3);
  model.finish();
  EXPECT_DOUBLE_EQ(model.bits("12345678"), 64.0);
}

TEST(ByteNgram, UnigramByHand) {
  // "aab": a twice, b once. One byte with count 1, one with 2: Y = 1 / (1 + 2) = 1/3,
  // D1 = 1 - 2Y * 1/1 = 1/3, D2 = 2 - 3Y * 0 = 2, held to 1.95. Freed: D1 + D2, shared by 256
  // bytes.
  ByteNgram model(0);
  model.add("aab");
  model.finish();
  const double freed = (1.0 / 3.0 + 1.95) / 256.0;
  EXPECT_NEAR(model.probability("", 'a'), (2.0 - 1.95 + freed) / 3.0, 1e-12);
  EXPECT_NEAR(model.probability("", 'b'), (1.0 - 1.0 / 3.0 + freed) / 3.0, 1e-12);
  EXPECT_NEAR(model.probability("", 'c'), freed / 3.0, 1e-12);
}

TEST(ByteNgram, BitsAreTheSumOverTheText) {
  ByteNgram model(3);
  for (uint64_t d = 0; d < 5; ++d) model.add(random_letters(d, 400, 6));
  model.finish();
  const std::string text = random_letters(77, 50, 6);
  double expected = 0.0;
  for (size_t at = 0; at < text.size(); ++at) {
    expected -=
        std::log2(model.probability(text.substr(0, at), static_cast<unsigned char>(text[at])));
  }
  EXPECT_NEAR(model.bits(text), expected, 1e-9);
}

TEST(ByteNgram, ApproachesTheEntropyOfItsSource) {
  // Each byte is one of four followers of the last, equally likely: two bits.
  ByteNgram model(2);
  for (uint64_t d = 0; d < 20; ++d) model.add(random_letters(d, 5000, 6));
  model.finish();
  const std::string text = random_letters(1000, 20000, 6);
  EXPECT_NEAR(model.bits(text) / 20000.0, 2.0, 0.01);
}

TEST(ByteNgram, RefusesOrdersItCannotPack) {
  for (const int wrong : {-1, 7}) {
    test::expect_refused<ConfigError>([&] { ByteNgram model(wrong); },
                                      concat("order: out of range (found ", wrong, ","));
  }
}

}  // namespace
}  // namespace hadal
