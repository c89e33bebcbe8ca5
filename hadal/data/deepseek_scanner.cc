#include "hadal/data/deepseek_scanner.h"

#include <algorithm>

#include "hadal/data/tokenizer_unicode.h"

namespace hadal {
namespace {

constexpr uint8_t kKana = 64;      // the set of stage 2: common ideographs, Hiragana, Katakana
constexpr uint8_t kNewline = 128;  // \r or \n
constexpr uint8_t kWord = kLetter | kMark;
constexpr uint8_t kMarkup = kPunctuation | kSymbol;
constexpr size_t kBatch = 2048;  // pieces per call: their lengths stay in the first-level cache
constexpr size_t kCutSearch = 4096;

bool is_ascii_letter(char c) { return static_cast<unsigned>((c | 0x20) - 'a') < 26U; }

}  // namespace

// Reads characters of one window. Bits of a character outside the window read as 0, its length too.
struct DeepseekScanner::Cursor {
  const uint8_t* classes;
  const char* text;
  size_t size;
  uint8_t window;  // kKana inside a run of stage 2, else 0

  struct Character {
    uint8_t bits;
    uint32_t length;
  };

  Character any(size_t at) const {
    const auto byte = [&](size_t i) {
      return static_cast<uint32_t>(static_cast<uint8_t>(text[i]));
    };
    const uint32_t lead = byte(at);
    if (lead < 0x80) return {classes[lead], 1};
    if (lead < 0xE0) return {classes[(lead & 0x1F) << 6 | (byte(at + 1) & 0x3F)], 2};
    if (lead < 0xF0) {
      return {classes[(lead & 0xF) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F)], 3};
    }
    return {classes[(lead & 0x7) << 18 | (byte(at + 1) & 0x3F) << 12 | (byte(at + 2) & 0x3F) << 6 |
                    (byte(at + 3) & 0x3F)],
            4};
  }

  Character inside(size_t at) const {
    if (at >= size) return {0, 0};
    const Character c = any(at);
    return ((c.bits ^ window) & (kNumber | kKana)) != 0 ? Character{0, 0} : c;
  }

  // The end of the longest run from `at` whose characters all have one of `bits`.
  size_t run_end(size_t at, uint8_t bits) const {
    for (Character c = inside(at); (c.bits & bits) != 0; c = inside(at)) at += c.length;
    return at;
  }

  // The end of stage 3's match at `at`, where a character of the window stands; `at` if none.
  size_t match(size_t at, Character c) const {
    const size_t next = at + c.length;
    if ((c.bits & kWord) != 0) return run_end(next, kWord);
    if ((c.bits & kMarkup) != 0) {
      if (c.length == 1 && next < size && is_ascii_letter(text[next])) {
        size_t end = next + 1;
        while (end < size && is_ascii_letter(text[end])) ++end;
        return end;
      }
      return run_end(run_end(next, kMarkup), kNewline);
    }
    if ((c.bits & kNewline) == 0) {
      const Character after = inside(next);
      if ((after.bits & kWord) != 0) return run_end(next + after.length, kWord);
      if (text[at] == ' ' && (after.bits & kMarkup) != 0) {
        return run_end(run_end(next + after.length, kMarkup), kNewline);
      }
    }
    return (c.bits & kWhiteSpace) != 0 ? match_spaces(at) : at;
  }

  // \s*[\r\n]+ ends after the run's last line break; else \s+(?!\S) leaves the last space to what
  // follows, unless the run is all there is, or one space long.
  size_t match_spaces(size_t at) const {
    size_t end = at, last = at, after_newline = 0;
    for (Character c = inside(end); (c.bits & kWhiteSpace) != 0; c = inside(end)) {
      last = end;
      end += c.length;
      if ((c.bits & kNewline) != 0) after_newline = end;
    }
    if (after_newline != 0) return after_newline;
    return inside(end).length == 0 || last == at ? end : last;
  }
};

DeepseekScanner::DeepseekScanner() : classes_(unicode_classes()) {
  const auto mark = [this](uint32_t first, uint32_t last, uint8_t bit) {
    for (uint32_t c = first; c <= last; ++c) classes_[c] |= bit;
  };
  mark(0x4E00, 0x9FA5, kKana);
  mark(0x3040, 0x30FF, kKana);
  mark('\r', '\r', kNewline);
  mark('\n', '\n', kNewline);
}

size_t DeepseekScanner::piece_end(std::string_view text, size_t at) const {
  Cursor cursor{classes_.data(), text.data(), text.size(), 0};
  const Cursor::Character first = cursor.any(at);
  if ((first.bits & kNumber) != 0) {
    size_t end = at + first.length;
    for (int digit = 1; digit < 3 && end < text.size(); ++digit) {
      const Cursor::Character c = cursor.any(end);
      if ((c.bits & kNumber) == 0) break;
      end += c.length;
    }
    return end;
  }
  cursor.window = first.bits & kKana;
  size_t end = cursor.match(at, first);
  if (end != at) return end;
  // No alternative matches here: all up to the next match or the window's end is one piece.
  end = at + first.length;
  for (Cursor::Character c = cursor.inside(end); c.length != 0 && cursor.match(end, c) == end;
       c = cursor.inside(end)) {
    end += c.length;
  }
  return end;
}

size_t DeepseekScanner::split(std::string_view text, size_t at,
                              std::vector<uint32_t>& lengths) const {
  for (size_t n = 0; n < kBatch && at < text.size(); ++n) {
    const size_t end = piece_end(text, at);
    lengths.push_back(static_cast<uint32_t>(end - at));
    at = end;
  }
  return at;
}

// A letter and a white space after it never share a piece: every alternative that takes a letter
// ends with letters and marks. Nor do two windows.
size_t DeepseekScanner::safe_cut(std::string_view text, size_t from) const {
  const Cursor cursor{classes_.data(), text.data(), text.size(), 0};
  const auto continues = [&](size_t i) { return (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80; };
  while (from < text.size() && continues(from)) ++from;
  const size_t limit = std::min(text.size(), from + kCutSearch);
  if (from >= limit) return text.size();
  for (Cursor::Character c = cursor.any(from); from + c.length < limit;) {
    from += c.length;
    const Cursor::Character next = cursor.any(from);
    if (((c.bits ^ next.bits) & (kNumber | kKana)) != 0) return from;
    if ((c.bits & kLetter) != 0 && (next.bits & kWhiteSpace) != 0) return from;
    c = next;
  }
  return text.size();
}

}  // namespace hadal
