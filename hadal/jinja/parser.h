// jinja/parser.h: tokens to a tree.
#pragma once

#include "hadal/jinja/syntax.h"

namespace hadal::jinja {

// FormatError "SOURCE: line N: ..." for what is no template, or asks for a part of Jinja that is not
// here (docs/chat.md). REQUIRES valid UTF-8.
Block parse_template(std::string_view text, const std::string& source);

}  // namespace hadal::jinja
