// model/token_lists.h: a JSON file of token-id lists, [[5, 17, 3], [8]], as `hadal dump` reads it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

using TokenLists = std::vector<std::vector<int32_t>>;

// Every list has at least one id and every id is in [0, vocab_size): FormatError otherwise, naming
// the list and the place in it. `source` names the file in errors.
TokenLists parse_token_lists(const std::string& text, const std::string& source,
                             int64_t vocab_size);
TokenLists read_token_lists(const std::string& path, int64_t vocab_size);

}  // namespace hadal
