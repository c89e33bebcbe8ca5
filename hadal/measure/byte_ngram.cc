#include "hadal/measure/byte_ngram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "hadal/core/error.h"

namespace hadal {
namespace {

// The last `bytes` bytes of a history whose newest byte is the lowest one.
uint64_t last_bytes(uint64_t history, int bytes) {
  return bytes == 0 ? 0 : history & (~uint64_t{0} >> (64 - 8 * bytes));
}

uint64_t hash_of(uint64_t gram) {
  gram *= 0x9E3779B97F4A7C15;
  return gram ^ gram >> 29;
}

// How many bytes of `count` are taken off: D1, D2 or D3.
size_t discount_class(uint32_t count) { return std::min<uint32_t>(count, 3) - 1; }

}  // namespace

GramCounts::GramCounts() : keys_(64), counts_(64) {}

size_t GramCounts::slot_of(uint64_t gram) const {
  const size_t mask = keys_.size() - 1;
  size_t slot = hash_of(gram) & mask;
  while (counts_[slot] != 0 && keys_[slot] != gram) slot = (slot + 1) & mask;
  return slot;
}

void GramCounts::add(uint64_t gram, uint32_t count) {
  size_t slot = slot_of(gram);
  if (counts_[slot] == 0) {
    if (2 * (used_ + 1) > keys_.size()) {
      grow();
      slot = slot_of(gram);
    }
    ++used_;
    keys_[slot] = gram;
  }
  counts_[slot] += std::min(count, std::numeric_limits<uint32_t>::max() - counts_[slot]);
}

uint32_t GramCounts::count(uint64_t gram) const { return counts_[slot_of(gram)]; }

void GramCounts::grow() {
  std::vector<uint64_t> keys(2 * keys_.size());
  std::vector<uint32_t> counts(2 * counts_.size());
  keys.swap(keys_);
  counts.swap(counts_);
  for (size_t old = 0; old < keys.size(); ++old) {
    if (counts[old] == 0) continue;
    const size_t slot = slot_of(keys[old]);
    keys_[slot] = keys[old];
    counts_[slot] = counts[old];
  }
}

ByteNgram::ByteNgram(int order) : order_(order) {
  require(order >= 0 && order <= kMaxOrder,
          {.field = "order",
           .problem = "out of range",
           .found = order,
           .expected = {"0 to ", kMaxOrder, " bytes of context"}});
  levels_.resize(static_cast<size_t>(order) + 1);
}

void ByteNgram::add(std::string_view document) {
  uint64_t history = 0;
  for (const char c : document) {
    history = history << 8 | static_cast<unsigned char>(c);
    levels_.back().grams.add(last_bytes(history, order_ + 1), 1);
  }
}

void ByteNgram::finish() {
  for (int k = order_; k > 0; --k) {
    // Each different string of k + 1 bytes is one preceding byte of its last k bytes.
    GramCounts& shorter = levels_[static_cast<size_t>(k) - 1].grams;
    levels_[static_cast<size_t>(k)].grams.for_each(
        [&](uint64_t gram, uint32_t) { shorter.add(last_bytes(gram, k), 1); });
  }
  for (Level& level : levels_) summarise(level);
}

void ByteNgram::summarise(Level& level) {
  std::array<double, 5> with{};  // how many grams have count 1, 2, 3, 4
  level.grams.for_each([&](uint64_t gram, uint32_t count) {
    if (count <= 4) with[count] += 1.0;
    const uint64_t context = gram >> 8;
    uint32_t index = level.contexts.count(context);
    if (index == 0) {
      level.stats.emplace_back();
      index = static_cast<uint32_t>(level.stats.size());
      level.contexts.add(context, index);
    }
    Context& stats = level.stats[index - 1];
    stats.total += count;
    ++stats.with_count[discount_class(count)];
  });
  // Chen and Goodman's estimates, held inside (0, count]: short texts have no count of counts.
  const double y = with[1] + with[2] > 0.0 ? with[1] / (with[1] + 2.0 * with[2]) : 0.5;
  for (size_t i = 0; i < 3; ++i) {
    const double n = static_cast<double>(i + 1);
    const double estimate = with[i + 1] > 0.0 ? n - (n + 1.0) * y * with[i + 2] / with[i + 1] : 0.5;
    level.discount[i] = std::clamp(estimate, 0.1, n - 0.05);
  }
}

double ByteNgram::probability_after(uint64_t history, unsigned char next) const {
  double p = 1.0 / 256.0;
  for (int k = 0; k <= order_; ++k) {
    const Level& level = levels_[static_cast<size_t>(k)];
    const uint64_t context = last_bytes(history, k);
    const uint32_t index = level.contexts.count(context);
    if (index == 0) break;  // a longer context has not been seen either
    const Context& stats = level.stats[index - 1];
    double kept_back = 0.0;
    for (size_t i = 0; i < 3; ++i) kept_back += level.discount[i] * stats.with_count[i];
    const uint32_t count = level.grams.count(context << 8 | next);
    const double own =
        count == 0 ? 0.0 : static_cast<double>(count) - level.discount[discount_class(count)];
    p = (own + kept_back * p) / static_cast<double>(stats.total);
  }
  return p;
}

double ByteNgram::probability(std::string_view context, unsigned char next) const {
  uint64_t history = 0;  // keeps the last eight bytes
  const size_t skipped = context.size() > 8 ? context.size() - 8 : 0;
  for (const char c : context.substr(skipped)) {
    history = history << 8 | static_cast<unsigned char>(c);
  }
  return probability_after(history, next);
}

double ByteNgram::bits(std::string_view document) const {
  double total = 0.0;
  uint64_t history = 0;
  for (const char c : document) {
    const auto next = static_cast<unsigned char>(c);
    total -= std::log2(probability_after(history, next));
    history = history << 8 | next;
  }
  return total;
}

double ngram_bits(const ByteNgram& model, const Tokenizer& tokenizer, const Batch& batch) {
  double bits = 0.0;
  std::string history;
  for (int64_t s = 0; s < batch.n_sequences; ++s) {
    history.clear();
    for (int64_t t = 0; t < batch.length; ++t) {
      const auto at = static_cast<size_t>(s * batch.length + t);
      const auto is_text = [&](int32_t id) { return id >= 0 && !tokenizer.is_special(id); };
      if (is_text(batch.tokens[at])) {
        history += tokenizer.token_bytes(batch.tokens[at]);
      } else {
        history.clear();  // a document begins or ends
      }
      if (!is_text(batch.targets[at])) continue;
      const size_t before = history.size();
      for (const char c : tokenizer.token_bytes(batch.targets[at])) {
        bits -= std::log2(model.probability(history, static_cast<unsigned char>(c)));
        history += c;
      }
      history.resize(before);
    }
  }
  return bits;
}

}  // namespace hadal
