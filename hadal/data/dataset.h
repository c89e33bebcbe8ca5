// data/dataset.h: from paths to batches. Preparation (read, deduplicate, divide, train or load the
// tokenizer, tokenise, pack) is done once: its result is a folder named after a hash of the input
// files and settings, and is used again as long as those stay the same.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/corpus/corpus.h"
#include "hadal/data/batch.h"
#include "hadal/data/token_shards.h"
#include "hadal/data/tokenizer.h"

namespace hadal {

struct ReadBefore;

struct DataConfig {
  std::vector<std::string> paths;  // files, folders, patterns
  std::vector<double> shares;      // of the training tokens, one for each path; empty: all there is
  CorpusOptions corpus;            // held-out share and cap, duplicates, text field, size limit
  int64_t seq_len = 256;           // S: inputs of a row; a row keeps S + 1 tokens
  double fim_rate = 0.1;           // 0 for a tokenizer without FIM marks
  double boundary_split_rate = 0.1;
  uint64_t seed = 0;      // of FIM, token splits and the order of training
  std::string tokenizer;  // tokenizer.json or its folder; empty: train one of vocab_size
  int64_t vocab_size = 8192;
  std::string cache_dir;                     // empty: $XDG_CACHE_HOME/hadal/prepared
  std::shared_ptr<const ReadBefore> before;  // what was trained on already; null: nothing

  void validate() const;  // ConfigError
};

// Data that goes on in other rows (another seq_len, other paths): the documents that `position`
// had not reached yet come first, in one pass of their own; later passes are over all of them.
struct ReadBefore {
  DataConfig config;
  Json position;  // BatchSource::position() of that data
};

struct DataCounts {
  CorpusCounts corpus;
  int64_t train_tokens = 0, train_rows = 0, train_padding = 0;
  std::vector<int64_t> source_tokens;  // of train_tokens, of each path; empty without shares
  int64_t first_pass_rows = 0;         // of them, the rows of documents that were not read before
  int64_t validation_tokens = 0, validation_rows = 0;
};

struct PreparedData {
  std::string folder;            // manifest.json, *.tokens, validation.jsonl, tokenizer/
  std::string tokenizer_folder;  // ready to be copied beside a checkpoint
  bool reused = false;           // nothing had to be prepared
  Tokenizer tokenizer;
  std::unique_ptr<BatchSource> train;
  TokenShards validation;  // rows in order; none if validation_fraction is 0
  DataCounts counts;
  int32_t pad_id = 0;  // what stands for padding among the inputs; its target is -1

  int64_t validation_rows() const { return validation.n_rows(); }
  // Rows [begin, begin + n) of the held-out text.
  Batch validation_batch(int64_t begin, int64_t n) const;
  // Bytes of text that the targets stand for (marks stand for none): the denominator of bits per
  // byte. The loss on an end mark still counts, so the figure is not flattered.
  int64_t target_bytes(const Batch& batch) const;
};

PreparedData prepare_data(const DataConfig& config, ThreadPool& pool);

// $XDG_CACHE_HOME/hadal, or ~/.cache/hadal: derived files, safe to delete.
std::string hadal_cache_folder();

}  // namespace hadal
