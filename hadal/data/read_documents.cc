#include "hadal/data/read_documents.h"

#include <algorithm>

#include "hadal/corpus/content_hash.h"
#include "hadal/data/packing.h"

namespace hadal {
namespace {

uint64_t hash_of_ids(std::span<const int32_t> ids) {
  return exact_hash({reinterpret_cast<const char*>(ids.data()), ids.size_bytes()}).high;
}

}  // namespace

ReadDocuments::ReadDocuments(const TokenShards& shards, std::span<const int64_t> rows, int32_t eos)
    : row_tokens_(shards.shape().row_tokens) {
  std::vector<int32_t> row(static_cast<size_t>(row_tokens_));
  for (const int64_t index : rows) {
    shards.read_row(index, row);
    // A piece ends with its document or where the row does. The rest of a long document is taken
    // for a beginning too; no document begins with it.
    const auto is_text = [](int32_t id) { return id != kPadToken; };
    auto begin = std::find_if(row.begin(), row.end(), is_text);
    while (begin != row.end()) {
      auto end = std::find_if(begin, row.end(),
                              [eos](int32_t id) { return id == eos || id == kPadToken; });
      if (end != row.end() && *end == eos) ++end;
      beginnings_.insert(hash_of_ids({begin, end}));
      begin = std::find_if(end, row.end(), is_text);
    }
  }
}

bool ReadDocuments::contains(std::span<const int32_t> document) const {
  const size_t first = std::min(document.size(), static_cast<size_t>(row_tokens_));
  return beginnings_.contains(hash_of_ids(document.first(first)));
}

}  // namespace hadal
