// data/read_documents.h: which documents a run has read by some position of its data. A document
// counts as read once the row with its beginning has been in a batch of the running pass; where that
// pass ends, none counts.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "hadal/data/token_shards.h"

namespace hadal {

class ReadDocuments {
 public:
  // The beginnings of documents in `rows` of the shards; `eos` ends a document.
  ReadDocuments(const TokenShards& shards, std::span<const int64_t> rows, int32_t eos);
  // `document`: all of its ids, as they were when the shards were packed.
  bool contains(std::span<const int32_t> document) const;

 private:
  int64_t row_tokens_;
  std::unordered_set<uint64_t> beginnings_;  // hashes of a document's first row_tokens_ ids
};

}  // namespace hadal
