// data/piece_counts.h: how often each piece of the pre-tokenizer occurs in a corpus.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/data/pre_tokenizer.h"

namespace hadal {

struct PieceCount {
  std::string_view piece;
  int64_t count = 0;
};

// Texts are gathered into batches that all threads count; sums do not depend on who counted what.
class PieceCounter {
 public:
  // A piece longer than kMaxPieceBytes (a run without a space, an encoded picture) is counted as
  // parts of that length: training looks at every symbol of a piece again for each merge in it.
  static constexpr size_t kMaxPieceBytes = 256;

  PieceCounter(const PreTokenizer& pre_tokenizer, ThreadPool& pool);
  ~PieceCounter();
  void add(std::string_view text);          // invalid UTF-8 becomes U+FFFD
  std::vector<PieceCount> sorted_pieces();  // by bytes; views live as long as this counter

 private:
  class Table;
  void count_batch();

  const PreTokenizer& pre_tokenizer_;
  ThreadPool& pool_;
  std::vector<std::unique_ptr<Table>> tables_;  // one per thread
  std::vector<std::string> batch_;
  size_t batch_bytes_ = 0;
};

}  // namespace hadal
