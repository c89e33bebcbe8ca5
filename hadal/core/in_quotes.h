// core/in_quotes.h: text from a file or a user, made fit for a line on a terminal: valid UTF-8, one
// line, nothing that moves the cursor or turns the direction of writing, not endless.
//
// Every Error and every log line passes through `harmless_line`; what is quoted inside one is cut
// where it is quoted, so that the words around it stay.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

// Control characters, invisible marks of direction and bytes that are no UTF-8 as \x0a, cut at a
// character after at most `longest` bytes of `text`.
std::string one_line(std::string_view text, size_t longest);
std::string in_quotes(std::string_view text);  // "abc" -> "\"abc\"", at most about 100 characters

// A whole message: line breaks and tabs become spaces, the rest as above. A longer one than
// kLongestLine loses its middle: the place stands first and the advice last.
constexpr size_t kLongestLine = 4096;
std::string harmless_line(std::string text);

}  // namespace hadal
