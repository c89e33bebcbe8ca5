#include "hadal/data/piece_counts.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "hadal/core/utf8.h"

namespace hadal {
namespace {

constexpr size_t kBatchBytes = 16 << 20;
constexpr size_t kTaskBytes = 256 << 10;
constexpr size_t kBlockBytes = 1 << 20;

}  // namespace

// Open addressing; the bytes of pieces stand in blocks that never move.
class PieceCounter::Table {
 public:
  Table() : slots_(1 << 12) {}

  void add(std::string_view piece, int64_t count) {
    if (used_ * 2 >= slots_.size()) grow();
    const uint64_t hash = XXH3_64bits(piece.data(), piece.size());
    Slot& slot = slots_[position(piece, hash)];
    if (slot.count == 0) {
      slot.piece = keep(piece);
      slot.hash = hash;
      ++used_;
    }
    slot.count += count;
  }

  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.count != 0) visit(PieceCount{slot.piece, slot.count});
    }
  }

  std::vector<uint32_t> lengths;  // scratch of the counting thread

 private:
  struct Slot {
    std::string_view piece;
    uint64_t hash = 0;
    int64_t count = 0;  // 0: free
  };

  size_t position(std::string_view piece, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at].count != 0 && (slots_[at].hash != hash || slots_[at].piece != piece)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.count != 0) slots_[position(slot.piece, slot.hash)] = slot;
    }
  }

  std::string_view keep(std::string_view piece) {
    if (blocks_.empty() || block_used_ + piece.size() > kBlockBytes) {
      blocks_.push_back(std::make_unique<char[]>(kBlockBytes));
      block_used_ = 0;
    }
    char* to = blocks_.back().get() + block_used_;
    std::memcpy(to, piece.data(), piece.size());
    block_used_ += piece.size();
    return {to, piece.size()};
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_used_ = 0;
};

PieceCounter::PieceCounter(const PreTokenizer& pre_tokenizer, ThreadPool& pool)
    : pre_tokenizer_(pre_tokenizer), pool_(pool) {
  for (int i = 0; i < pool.n_threads(); ++i) tables_.push_back(std::make_unique<Table>());
}
PieceCounter::~PieceCounter() = default;

void PieceCounter::add(std::string_view text) {
  batch_.push_back(repair_utf8(std::string(text)));
  batch_bytes_ += text.size();
  if (batch_bytes_ >= kBatchBytes) count_batch();
}

void PieceCounter::count_batch() {
  std::vector<std::string_view> tasks;
  for (std::string_view rest : batch_) {
    while (rest.size() > kTaskBytes) {
      const size_t cut = pre_tokenizer_.safe_cut(rest, kTaskBytes);
      tasks.push_back(rest.substr(0, cut));
      rest.remove_prefix(cut);
    }
    if (!rest.empty()) tasks.push_back(rest);
  }
  pool_.parallel_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t task, int thread) {
    Table& table = *tables_[static_cast<size_t>(thread)];
    const std::string_view text = tasks[static_cast<size_t>(task)];
    size_t piece_begin = 0;
    for (size_t at = 0; at < text.size();) {
      table.lengths.clear();
      at = pre_tokenizer_.split(text, at, table.lengths);
      for (const uint32_t length : table.lengths) {
        const std::string_view piece = text.substr(piece_begin, length);
        for (size_t i = 0; i < piece.size(); i += kMaxPieceBytes) {
          table.add(piece.substr(i, kMaxPieceBytes), 1);
        }
        piece_begin += length;
      }
    }
  });
  batch_.clear();
  batch_bytes_ = 0;
}

std::vector<PieceCount> PieceCounter::sorted_pieces() {
  count_batch();
  Table& all = *tables_[0];
  for (size_t i = 1; i < tables_.size(); ++i) {
    tables_[i]->for_each([&](const PieceCount& p) { all.add(p.piece, p.count); });
    tables_[i] = std::make_unique<Table>();
  }
  std::vector<PieceCount> out;
  all.for_each([&](const PieceCount& p) { out.push_back(p); });
  std::sort(out.begin(), out.end(),
            [](const PieceCount& a, const PieceCount& b) { return a.piece < b.piece; });
  return out;
}

}  // namespace hadal
