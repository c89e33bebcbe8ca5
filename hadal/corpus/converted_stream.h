// corpus/converted_stream.h: text of a named encoding ("latin-1", "cp1252", "utf-16") as UTF-8, by
// iconv(3), so that the machine's library says which names there are.
//
// A byte that the encoding does not know goes on as FF, which no UTF-8 holds: readers treat it as
// they treat invalid UTF-8.
#pragma once

#include <memory>
#include <string>

#include "hadal/corpus/byte_stream.h"

namespace hadal {

// ConfigError naming the setting `encoding` for a name that is not known. Empty and UTF-8 convert
// nothing.
void check_encoding(const std::string& encoding);

std::unique_ptr<ByteStream> open_text_stream(const std::string& path, const std::string& encoding);
std::string converted_to_utf8(std::string bytes, const std::string& encoding);

}  // namespace hadal
