// data/bpe_trainer.h: trains a byte-level BPE tokenizer of the DeepSeek-V3 kind.
//
// Pieces are cut as DeepSeek-V3 cuts them (data/deepseek_scanner.h). Starting from the 256 bytes,
// the pair of neighbours that occurs most often, weighted by the count of its piece, becomes a
// token; of equally frequent pairs the smaller by bytes (left, then right). The result depends on
// the texts only, not on their order or the number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "hadal/core/thread_pool.h"

namespace hadal {

struct BpeTrainerOptions {
  int64_t vocab_size = 4096;      // all ids, added tokens included
  int64_t max_token_bytes = 128;  // the longest token of the published vocabulary
  int64_t min_count = 2;          // a pair seen less often is no token
};

// The two files of a tokenizer folder.
struct TrainedTokenizer {
  std::string tokenizer_json, config_json;
  int64_t vocab_size = 0;  // less than asked when the texts hold no more frequent pairs
};

class BpeTrainer {
 public:
  // ConfigError if vocab_size has no room for the bytes and the family's tokens.
  BpeTrainer(BpeTrainerOptions options, ThreadPool& pool);
  ~BpeTrainer();
  void add(std::string_view text);
  TrainedTokenizer train();  // once; ConfigError if no text was added

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Ids: begin, end and pad of the family (0, 1, 2), 256 bytes, merges, the family's other tokens.
int64_t smallest_trained_vocab_size();

// Writes tokenizer.json and tokenizer_config.json into `folder`, making it if need be.
void write_tokenizer_folder(const TrainedTokenizer& tokenizer, const std::string& folder);

}  // namespace hadal
