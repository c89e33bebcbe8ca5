// data/packing.h: documents into rows of fixed length, "fewer truncations" (report section 4.1).
//
// A row has R = S + 1 tokens: inputs row[0..S), targets row[1..S]. Only a document longer than R is
// cut, into pieces of R tokens; each piece begins with the last token of the one before, so that
// every token but a document's first is a target exactly once. The last, shorter piece of a long
// document and the short documents go into rows by best fit, longest first. kPadToken stands where
// a row is empty at its end, and before the rest of a long document: what follows another
// document's end there is no consequence of it, so neither the mark nor the token after it is a
// target. There is no mask between the documents of a row.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace hadal {

inline constexpr int32_t kPadToken = -1;

// The rows (bins) of best-fit decreasing: each piece, longest first and by index among equals, goes
// to the row with the least room that still takes it (the oldest among equals). Returns the pieces
// of each row. REQUIRES 1 <= length <= capacity.
std::vector<std::vector<int32_t>> best_fit_decreasing(std::span<const int32_t> lengths,
                                                      int32_t capacity);

// Packs a stream of documents window by window, so that memory is bounded; rows leave in an order
// that depends on the documents alone.
class DocumentPacker {
 public:
  using RowSink = std::function<void(std::span<const int32_t> row)>;  // row_tokens long
  static constexpr int64_t kWindowTokens = int64_t{1} << 23;

  DocumentPacker(int64_t row_tokens, RowSink sink, int64_t window_tokens = kWindowTokens);
  void add(std::span<const int32_t> document);  // REQUIRES at least two tokens
  void finish();                                // packs what is left
  int64_t padding() const { return padding_; }  // kPadToken written so far

 private:
  void pack_window();

  int64_t row_tokens_, window_tokens_;
  RowSink sink_;
  std::vector<int32_t> tokens_;   // pieces of this window, one after another
  std::vector<int32_t> lengths_;  // of each piece
  int64_t padding_ = 0;
};

}  // namespace hadal
