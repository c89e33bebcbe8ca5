#include "hadal/data/fill_in_middle.h"

#include <algorithm>

namespace hadal {
namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

// The byte position of character `index`; the size of the text past the last one.
size_t byte_of_character(std::string_view text, uint64_t index) {
  for (size_t at = 0; at < text.size(); ++at) {
    if (begins_character(text[at]) && index-- == 0) return at;
  }
  return text.size();
}

}  // namespace

FillInMiddle cut_fill_in_middle(std::string_view text, Rng& rng) {
  const auto characters =
      static_cast<uint64_t>(std::count_if(text.begin(), text.end(), begins_character));
  uint64_t first = rng.uniform_below(characters + 1);
  uint64_t second = rng.uniform_below(characters + 1);
  if (first > second) std::swap(first, second);
  const size_t begin = byte_of_character(text, first);
  const size_t end = begin + byte_of_character(text.substr(begin), second - first);
  return {text.substr(0, begin), text.substr(begin, end - begin), text.substr(end)};
}

}  // namespace hadal
