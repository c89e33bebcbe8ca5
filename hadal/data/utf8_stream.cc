// data/utf8_stream.cc: Utf8Stream of data/tokenizer.h.
#include <algorithm>

#include "hadal/core/utf8.h"
#include "hadal/data/tokenizer.h"

namespace hadal {
namespace {

// Could the last `length` bytes grow into one character? True if some continuation makes them one.
bool is_character_prefix(std::string_view tail) {
  // 80 and BF are the ends of every range a continuation byte may come from; 90, 9F, A0 and 8F are
  // those after E0, ED, F0 and F4.
  for (const char second : {'\x80', '\xBF', '\x90', '\x9F', '\xA0', '\x8F'}) {
    std::string whole(tail);
    if (whole.size() < 2) whole += second;
    while (whole.size() < 4) {
      if (utf8_character_length(whole, 0) == static_cast<int>(whole.size())) return true;
      whole += '\x80';
    }
    if (utf8_character_length(whole, 0) == 4) return true;
  }
  return false;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  size_t keep = 0;
  for (size_t n = std::min<size_t>(3, held_.size()); n > 0 && keep == 0; --n) {
    const std::string_view tail = std::string_view(held_).substr(held_.size() - n);
    if (utf8_character_length(tail, 0) == 0 && is_character_prefix(tail)) keep = n;
  }
  std::string ready = held_.substr(0, held_.size() - keep);
  held_.erase(0, ready.size());
  return repair_utf8(std::move(ready));
}

std::string Utf8Stream::finish() {
  std::string rest = std::move(held_);
  held_.clear();
  return repair_utf8(std::move(rest));
}

}  // namespace hadal
