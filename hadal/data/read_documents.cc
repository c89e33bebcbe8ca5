#include "hadal/data/read_documents.h"

#include <algorithm>

#include "hadal/corpus/content_hash.h"
#include "hadal/data/packing.h"

namespace hadal {
namespace {

uint64_t hash_of_ids(std::span<const int32_t> ids) {
  const auto* bytes = reinterpret_cast<const char*>(ids.data());
  return exact_hash({bytes, ids.size_bytes()}).high;
}

}  // namespace

ReadDocuments::ReadDocuments(const TokenShards& shards, std::span<const int64_t> rows, int32_t eos)
    : row_tokens_(shards.shape().row_tokens) {
  std::vector<int32_t> row(static_cast<size_t>(row_tokens_));
  for (const int64_t index : rows) {
    shards.read_row(index, row);
    // A piece ends with its document or where the row does. The rest of a long document, which stands
    // behind a mark of padding, is taken for a beginning too; no document begins with it.
    const auto is_token = [](int32_t id) { return id != kPadToken; };
    auto begin = std::find_if(row.begin(), row.end(), is_token);
    while (begin != row.end()) {
      auto end = std::find_if(begin, row.end(),
                              [eos](int32_t id) { return id == eos || id == kPadToken; });
      if (end != row.end() && *end == eos) ++end;
      beginnings_.insert(hash_of_ids({begin, end}));
      begin = std::find_if(end, row.end(), is_token);
    }
  }
}

bool ReadDocuments::contains(std::span<const int32_t> document) const {
  const size_t first = std::min(document.size(), static_cast<size_t>(row_tokens_));
  return beginnings_.contains(hash_of_ids(document.first(first)));
}

}  // namespace hadal
