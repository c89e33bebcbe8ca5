// measure/byte_ngram.h: the yardstick: a byte model that only counts. Interpolated modified
// Kneser-Ney (Chen and Goodman 1998, section 3) over contexts of 0 to `order` bytes; D are its
// three discounts:
//
//   P_k(s | c) = max(n(c s) - D_k(n(c s)), 0) / n(c .) + gamma_k(c) P_{k-1}(s | c without its first
//   byte) gamma_k(c) = (D_k1 n1(c) + D_k2 n2(c) + D_k3 n3+(c)) / n(c .),    P_{-1} = 1 / 256
//
// n counts occurrences at the highest order and distinct preceding bytes below it. A document
// begins after `order` zero bytes. Memory: about 24 bytes for each different string of order + 1
// bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "hadal/data/batch.h"
#include "hadal/data/tokenizer.h"

namespace hadal {

// Counters by key: open addressing, linear probing, at most half full.
class GramCounts {
 public:
  GramCounts();
  void add(uint64_t gram, uint32_t count);  // saturates
  uint32_t count(uint64_t gram) const;      // 0 if it never came
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (size_t slot = 0; slot < keys_.size(); ++slot) {
      if (counts_[slot] != 0) visit(keys_[slot], counts_[slot]);
    }
  }

 private:
  size_t slot_of(uint64_t gram) const;
  void grow();

  std::vector<uint64_t> keys_;
  std::vector<uint32_t> counts_;  // 0: free
  size_t used_ = 0;
};

class ByteNgram {
 public:
  static constexpr int kMaxOrder = 6;
  explicit ByteNgram(int order);  // context bytes; ConfigError unless 0 to kMaxOrder

  void add(std::string_view document);
  void finish();  // after the last add, before any question

  // Of byte `next` after `context` (its last `order` bytes count; a shorter one is a document's
  // start).
  double probability(std::string_view context, unsigned char next) const;
  double bits(std::string_view document) const;  // -sum log2 P

 private:
  struct Context {
    uint64_t total = 0;
    std::array<uint32_t, 3> with_count{};  // followers with count 1, 2, 3 or more
  };
  struct Level {
    GramCounts grams;     // context and next byte
    GramCounts contexts;  // index into stats, plus 1
    std::vector<Context> stats;
    std::array<double, 3> discount{};
  };
  void summarise(Level& level);
  double probability_after(uint64_t history, unsigned char next) const;

  int order_;
  std::vector<Level> levels_;  // by context length
};

// -sum log2 P over the bytes of the batch's targets, the model having seen what a language model
// sees there: the bytes before it in its row, back to the beginning of the document. The same rows
// scored by both give comparable bits per byte.
double ngram_bits(const ByteNgram& model, const Tokenizer& tokenizer, const Batch& batch);

}  // namespace hadal
