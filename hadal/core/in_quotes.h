// core/in_quotes.h: text from a file, made fit for an error line: in quotes, without control
// characters, not endless.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

// Control characters as \x0a, cut after `longest` bytes.
std::string one_line(std::string_view text, size_t longest);
std::string in_quotes(std::string_view text);  // "abc" -> "\"abc\"", at most about 100 characters

}  // namespace hadal
