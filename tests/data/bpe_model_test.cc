// The three ways to merge a piece agree with the definition, taken literally, on random merge
// tables.
#include "hadal/data/bpe_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "hadal/core/rng.h"

namespace hadal {
namespace {

struct Vocabulary {
  std::array<int32_t, 256> byte_tokens{};
  std::vector<std::string> bytes;
  std::vector<BpeMerge> merges;

  BpeModel model() const {
    std::vector<int32_t> by_bytes(bytes.size());
    for (size_t i = 0; i < bytes.size(); ++i) by_bytes[i] = static_cast<int32_t>(i);
    std::sort(by_bytes.begin(), by_bytes.end(), [this](int32_t a, int32_t b) {
      return bytes[static_cast<size_t>(a)] < bytes[static_cast<size_t>(b)];
    });
    return BpeModel(byte_tokens, merges, by_bytes, [this](int32_t id) {
      return std::string_view(bytes[static_cast<size_t>(id)]);
    });
  }

  // The definition: again and again the pair of lowest rank, the leftmost of equals.
  std::vector<int32_t> merge_literally(const std::string& piece) const {
    std::vector<int32_t> ids;
    for (const char c : piece) ids.push_back(byte_tokens[static_cast<uint8_t>(c)]);
    for (;;) {
      size_t best_rank = merges.size(), best_at = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        for (size_t rank = 0; rank < best_rank; ++rank) {
          if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) {
            best_rank = rank;
            best_at = i;
          }
        }
      }
      if (best_rank == merges.size()) return ids;
      ids[best_at] = merges[best_rank].result;
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
    }
  }
};

// Random merges over the letters a, b, c; a result that is known already is left out, so that every
// token is built in one way.
Vocabulary random_vocabulary(Rng& rng, size_t n_merges) {
  Vocabulary v;
  for (int b = 0; b < 256; ++b) {
    v.byte_tokens[static_cast<size_t>(b)] = b;
    v.bytes.emplace_back(1, static_cast<char>(b));
  }
  std::vector<int32_t> usable = {'a', 'b', 'c'};
  std::set<std::string> known = {"a", "b", "c"};
  for (size_t tries = 0; v.merges.size() < n_merges && tries < 10 * n_merges; ++tries) {
    const int32_t left = usable[rng.uniform_below(usable.size())];
    const int32_t right = usable[rng.uniform_below(usable.size())];
    std::string joined = v.bytes[static_cast<size_t>(left)] + v.bytes[static_cast<size_t>(right)];
    if (joined.size() > 12 || !known.insert(joined).second) continue;
    const auto result = static_cast<int32_t>(v.bytes.size());
    v.bytes.push_back(std::move(joined));
    v.merges.push_back({left, right, result});
    usable.push_back(result);
  }
  return v;
}

std::string random_piece(Rng& rng, size_t longest) {
  std::string piece;
  const size_t size = 1 + rng.uniform_below(longest);
  while (piece.size() < size) {
    // Runs bring out ties between equal pairs.
    piece.append(1 + rng.uniform_below(4), static_cast<char>('a' + rng.uniform_below(3)));
  }
  return piece.substr(0, size);
}

TEST(BpeModel, ThreeWaysMatchTheDefinition) {
  Rng rng(11);
  for (int round = 0; round < 60; ++round) {
    const Vocabulary v = random_vocabulary(rng, 2 + rng.uniform_below(40));
    const BpeModel model = v.model();
    BpeModel::Scratch scratch;
    ASSERT_TRUE(model.has_linear());
    for (int i = 0; i < 60; ++i) {
      const std::string piece = random_piece(rng, BpeModel::kMaxScanBytes);
      const std::vector<int32_t> expected = v.merge_literally(piece);
      std::vector<int32_t> scanned, heaped, linear, cached;
      model.encode_by_scan(piece, scanned);
      model.encode_by_heap(piece, scratch, heaped);
      model.encode_linear(piece, scratch, linear);
      model.encode(piece, piece.data() + piece.size(), scratch, cached);
      EXPECT_EQ(scanned, expected) << piece;
      EXPECT_EQ(heaped, expected) << piece;
      EXPECT_EQ(linear, expected) << piece;
      EXPECT_EQ(cached, expected) << piece;
    }
  }
}

TEST(BpeModel, LinearMatchesHeapOnLongPieces) {
  Rng rng(12);
  for (int round = 0; round < 20; ++round) {
    const BpeModel model = random_vocabulary(rng, 60).model();
    BpeModel::Scratch scratch;
    const std::string piece = random_piece(rng, 5000);
    std::vector<int32_t> heaped, linear;
    model.encode_by_heap(piece, scratch, heaped);
    model.encode_linear(piece, scratch, linear);
    EXPECT_EQ(linear, heaped);
  }
}

// "abc" from two sides, and a merge that uses a token before the rank that makes it: files may hold
// such tables, and the linear search does not cover them.
TEST(BpeModel, OtherTablesGoWithoutTheLinearSearch) {
  Rng rng(13);
  Vocabulary two_ways = random_vocabulary(rng, 0);
  two_ways.bytes.insert(two_ways.bytes.end(), {"ab", "bc", "abc"});
  two_ways.merges = {{'a', 'b', 256}, {'b', 'c', 257}, {256, 'c', 258}, {'a', 257, 258}};
  Vocabulary late = random_vocabulary(rng, 0);
  late.bytes.insert(late.bytes.end(), {"ab", "abc"});
  late.merges = {{256, 'c', 257}, {'a', 'b', 256}};
  for (const Vocabulary& v : {two_ways, late}) {
    const BpeModel model = v.model();
    EXPECT_FALSE(model.has_linear());
    BpeModel::Scratch scratch;
    for (int i = 0; i < 200; ++i) {
      const std::string piece = random_piece(rng, 150);
      std::vector<int32_t> found;
      model.encode(piece, piece.data() + piece.size(), scratch, found);
      EXPECT_EQ(found, v.merge_literally(piece)) << piece;
    }
  }
}

// A piece of up to 15 bytes is looked up by its bytes and its length: zero bytes count.
TEST(BpeModel, PiecesThatDifferInZeroBytesAreNotConfused) {
  Rng rng(14);
  const Vocabulary v = random_vocabulary(rng, 30);
  const BpeModel model = v.model();
  BpeModel::Scratch scratch;
  for (int twice = 0; twice < 2; ++twice) {
    for (size_t size = 2; size < 18; ++size) {
      // Followed by other text, as in a long input.
      const std::string text = "ab" + std::string(size - 2, '\0') + "abcabcabcabcabcabc";
      const std::string_view piece = std::string_view(text).substr(0, size);
      std::vector<int32_t> found;
      model.encode(piece, text.data() + text.size(), scratch, found);
      EXPECT_EQ(found, v.merge_literally(std::string(piece))) << size;
    }
  }
}

}  // namespace
}  // namespace hadal
