#include "hadal/model/token_lists.h"

#include "hadal/core/error.h"
#include "hadal/core/json.h"

namespace hadal {
namespace {

constexpr const char* kExpected = "expected a list of token-id lists such as [[5, 17, 3], [8]]";

int32_t parse_id(const Json& json, const std::string& where, int64_t vocab_size) {
  if (!json.is_integer()) {
    throw FormatError(concat(where, ": not a token id (found ", json.type_name(),
                             json.is_number() ? " " + json.dump() : std::string(),
                             ", expected a whole number); write ids, not text"));
  }
  const double id = json.as_number();  // also for integers beyond 64 bits
  if (id < 0.0 || id >= static_cast<double>(vocab_size)) {
    throw FormatError(concat(where, ": token id out of range (found ", id, ", expected 0 to ",
                             vocab_size - 1,
                             "); was the text encoded with this model's tokenizer?"));
  }
  return static_cast<int32_t>(id);
}

std::vector<int32_t> parse_list(const Json& json, const std::string& where, int64_t vocab_size) {
  if (!json.is_array()) {
    throw FormatError(
        concat(where, ": not a list (found ", json.type_name(), ", ", kExpected, ")"));
  }
  if (json.as_array().empty()) {
    throw FormatError(concat(where, ": empty (found 0 ids, expected at least 1); remove the list"));
  }
  std::vector<int32_t> ids;
  ids.reserve(json.as_array().size());
  for (const Json& id : json.as_array()) {
    ids.push_back(parse_id(id, concat(where, ", id ", ids.size()), vocab_size));
  }
  return ids;
}

}  // namespace

TokenLists parse_token_lists(const std::string& text, const std::string& source,
                             int64_t vocab_size) {
  const Json json = parse_json(text, source);
  if (!json.is_array() || json.as_array().empty()) {
    throw FormatError(concat(source, ": no token lists (found ",
                             json.is_array() ? "an empty list" : json.type_name(), ", ", kExpected,
                             ")"));
  }
  TokenLists lists;
  for (const Json& list : json.as_array()) {
    lists.push_back(parse_list(list, concat(source, ": list ", lists.size()), vocab_size));
  }
  return lists;
}

TokenLists read_token_lists(const std::string& path, int64_t vocab_size) {
  return parse_token_lists(read_text_file(path), path, vocab_size);
}

}  // namespace hadal
