// core/joined.h: words into one text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal {

// {"a", "b"}, ", " -> "a, b". Nothing stands before the first word that is not empty.
inline std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += between;
    text += word;
  }
  return text;
}

}  // namespace hadal
