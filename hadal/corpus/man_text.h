// corpus/man_text.h: the readable text of a manual page in roff with the man or mdoc macros. It
// knows the macros that manual pages use and drops the others; it never fails.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

bool looks_like_manual(
    std::string_view text);  // roff: a comment or a macro on one of the first lines

std::string man_text(std::string_view roff);

}  // namespace hadal
