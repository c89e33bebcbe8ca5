// data/pack_corpus.h: one split of a corpus into token shards: every thread tokenises, one packs.
// The files depend on the documents and the settings, not on the number of threads.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/corpus/corpus.h"
#include "hadal/corpus/mixture.h"
#include "hadal/data/document_tokens.h"
#include "hadal/data/read_documents.h"
#include "hadal/data/token_shards.h"

namespace hadal {

struct PackedSplit {
  int64_t tokens = 0, rows = 0, padding = 0;  // padding: places of a row left empty
  std::vector<int64_t> source_tokens;         // of each source, with shares
  int64_t unread_rows = 0;                    // the first of them: nothing of `read` is there
};

// Which documents of a split are packed, and what comes first.
struct DocumentChoice {
  // As many documents of each source (Document::argument) as make up its share of the tokens
  // (corpus/mixture.h, by files where a document has several), for which every document is encoded twice;
  // empty: all documents.
  std::span<const double> shares = {};
  const ReadDocuments* read = nullptr;  // what it knows stands behind everything else
};

// Writes FOLDER/NAME-*.tokens.
PackedSplit pack_split(const Corpus& corpus, Split split, const std::string& name,
                       const std::string& folder, const ShardShape& shape,
                       const DocumentEncoder& encoder, const DocumentChoice& choice,
                       ThreadPool& pool);

}  // namespace hadal
