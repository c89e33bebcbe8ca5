// data/tokenizer_post_processor.h: what tokenizer.json puts around the ids of a text.
//
// DeepSeek-V3's own file names ByteLevel, which adds none. Saved again by transformers it names a
// template, alone or in a Sequence with ByteLevel: BOS, then the text.
#pragma once

#include <optional>

#include "hadal/data/tokenizer_json.h"
#include "hadal/data/tokenizer_json_field.h"

namespace hadal {

// The id put before every text, if there is one. FormatError for anything else that adds ids.
// REQUIRES the tokens of `definition` read.
std::optional<int32_t> read_post_processor(const TokenizerJsonField& root,
                                           const TokenizerDefinition& definition);

// ByteLevel as decoder or post-processor: none of its switches touches ids or text.
void check_byte_level(const TokenizerJsonField& field);

}  // namespace hadal
