// data/tokenizer_json.h: reads tokenizer.json strictly. What hadal does not implement is a
// FormatError that names the field, never passed over.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hadal/data/added_token_matcher.h"
#include "hadal/data/bpe_model.h"
#include "hadal/data/pre_tokenizer.h"
#include "hadal/data/tokenizer.h"

namespace hadal {

struct TokenizerDefinition {
  // The bytes of every id, one after another: id's are bytes[begin[id], begin[id + 1]). An id that
  // the file does not name has none.
  std::string bytes;
  std::vector<uint32_t> begin;
  std::vector<AddedToken> added_tokens;              // by id
  std::vector<AddedTokenRule> verbatim, normalized;  // matched first, matched in what is left
  std::array<int32_t, 256> byte_tokens{};
  std::vector<BpeMerge> merges;
  std::vector<SplitStage> stages;
  std::vector<std::pair<std::string, int32_t>> whole_pieces;  // ignore_merges: pieces never merged
  std::optional<int32_t> prepended;  // the post-processor puts it before every text

  std::string_view token(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return std::string_view(bytes).substr(begin[i], begin[i + 1] - begin[i]);
  }
};

// `source` names the file in messages.
TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& source);

}  // namespace hadal
