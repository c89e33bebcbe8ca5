// data/pack_corpus.h: one split of a corpus into token shards: every thread tokenises, one packs.
// The files depend on the documents and the settings, not on the number of threads.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/corpus/corpus.h"
#include "hadal/data/document_tokens.h"
#include "hadal/data/token_shards.h"

namespace hadal {

struct PackedSplit {
  int64_t tokens = 0, rows = 0, padding = 0;  // padding: places of a row left empty
};

// Writes FOLDER/NAME-*.tokens.
PackedSplit pack_split(const Corpus& corpus, Split split, const std::string& name,
                       const std::string& folder, const ShardShape& shape,
                       const DocumentEncoder& encoder, ThreadPool& pool);

}  // namespace hadal
