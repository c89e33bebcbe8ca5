#include "hadal/data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "hadal/core/error.h"

namespace hadal {

std::vector<std::vector<int32_t>> best_fit_decreasing(std::span<const int32_t> lengths,
                                                      int32_t capacity) {
  std::vector<int32_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)];
  });
  std::vector<std::vector<int32_t>> rows;
  std::set<std::pair<int32_t, int32_t>> open;  // room left, row
  for (const int32_t piece : order) {
    const int32_t length = lengths[static_cast<size_t>(piece)];
    const auto best = open.lower_bound({length, 0});
    int32_t room = capacity, row = static_cast<int32_t>(rows.size());
    if (best == open.end()) {
      rows.emplace_back();
    } else {
      std::tie(room, row) = *best;
      open.erase(best);
    }
    rows[static_cast<size_t>(row)].push_back(piece);
    if (room > length) open.insert({room - length, row});
  }
  return rows;
}

DocumentPacker::DocumentPacker(int64_t row_tokens, RowSink sink, int64_t window_tokens)
    : row_tokens_(row_tokens), window_tokens_(window_tokens), sink_(std::move(sink)) {
  require(row_tokens >= 2 && row_tokens <= (int64_t{1} << 24), {.field = "data.seq_len",
                                                                .problem = "out of range",
                                                                .found = row_tokens - 1,
                                                                .expected = "1 to 16777215"});
}

void DocumentPacker::add(std::span<const int32_t> document) {
  const auto row = static_cast<size_t>(row_tokens_);
  size_t begin = 0;
  for (;;) {
    const size_t length = std::min(row, document.size() - begin);
    const auto piece = document.subspan(begin, length);
    if (length == row) {
      sink_(piece);  // a full row needs no partner
    } else {
      const size_t mark = begin > 0 ? 1 : 0;
      tokens_.insert(tokens_.end(), mark, kPadToken);
      tokens_.insert(tokens_.end(), piece.begin(), piece.end());
      lengths_.push_back(static_cast<int32_t>(length + mark));
      padding_ += static_cast<int64_t>(mark);
    }
    if (begin + length == document.size()) break;
    begin += length - 1;
  }
  if (static_cast<int64_t>(tokens_.size()) >= window_tokens_) pack_window();
}

void DocumentPacker::finish() { pack_window(); }

void DocumentPacker::pack_window() {
  std::vector<size_t> begin_of(lengths_.size());
  size_t begin = 0;
  for (size_t piece = 0; piece < lengths_.size(); ++piece) {
    begin_of[piece] = begin;
    begin += static_cast<size_t>(lengths_[piece]);
  }
  std::vector<int32_t> row;
  for (const auto& pieces : best_fit_decreasing(lengths_, static_cast<int32_t>(row_tokens_))) {
    row.clear();
    for (const int32_t piece : pieces) {
      const auto from =
          tokens_.begin() + static_cast<int64_t>(begin_of[static_cast<size_t>(piece)]);
      row.insert(row.end(), from, from + lengths_[static_cast<size_t>(piece)]);
    }
    padding_ += row_tokens_ - static_cast<int64_t>(row.size());
    row.resize(static_cast<size_t>(row_tokens_), kPadToken);
    sink_(row);
  }
  tokens_.clear();
  lengths_.clear();
}

}  // namespace hadal
