// data/byte_level.h: the printable alphabet in which tokenizer.json writes bytes.
//
// Bytes 33-126, 161-172 and 174-255 stand for themselves; the other 68 become U+0100, U+0101, ...
// in increasing order, so that space is U+0120.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

std::string to_byte_level(std::string_view bytes);

// Appends the bytes that `text` stands for; false, with nothing appended, if a character of it is
// not in the alphabet.
bool append_from_byte_level(std::string_view text, std::string& bytes);

}  // namespace hadal
