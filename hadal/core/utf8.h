// core/utf8.h: UTF-8 as data files really hold it, valid or not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hadal {

// Length of the well-formed character at text[at], 1 to 4; 0 if none stands there (Unicode 15,
// table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
int utf8_character_length(std::string_view text, size_t at);

bool valid_utf8(std::string_view text);

struct Utf8Flaws {
  int64_t count = 0;       // maximal subparts of ill-formed sequences
  int64_t first_line = 0;  // of the first, from 1
};
Utf8Flaws utf8_flaws(std::string_view text);

// Every maximal subpart of an ill-formed sequence becomes one U+FFFD (Unicode 15, section 3.9).
// Valid text is returned unchanged, without a copy.
std::string repair_utf8(std::string text);

void append_utf8(std::string& out, uint32_t code_point);  // U+FFFD for what is no scalar value

// The byte position nearest to `at` from below where a character begins; text.size() stays.
size_t utf8_boundary_at_or_before(std::string_view text, size_t at);

}  // namespace hadal
