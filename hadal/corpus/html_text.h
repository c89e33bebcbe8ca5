// corpus/html_text.h: the readable text of an HTML page: no tags, scripts, styles, forms or
// navigation; entities decoded; white space collapsed outside <pre>; one blank line between blocks.
//
// It reads tags one by one and never fails: whatever the bytes, the result is some text, in time
// and memory linear in the page.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

std::string html_text(std::string_view html);

// "&amp;" -> "&", "&#233;" -> "é"; unknown ones stay as they are.
std::string decode_html_entities(std::string_view text);

}  // namespace hadal
