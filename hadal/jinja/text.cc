#include "hadal/jinja/text.h"

#include <algorithm>

#include "hadal/core/utf8.h"

namespace hadal::jinja {

Text::Text(std::string bytes, Origin origin) : bytes_(repair_utf8(std::move(bytes))) {
  if (!bytes_.empty()) spans_.push_back({bytes_.size(), origin});
}

Origin Text::origin_at(size_t at) const {
  const auto span = std::upper_bound(spans_.begin(), spans_.end(), at,
                                     [](size_t wanted, const Span& s) { return wanted < s.end; });
  return span->origin;
}

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!spans_.empty() && spans_.back().origin == origin) {
    spans_.back().end = bytes_.size();
  } else {
    spans_.push_back({bytes_.size(), origin});
  }
}

void Text::append(const Text& more) {
  size_t begin = 0;
  for (const Span& span : more.spans_) {
    append(more.view().substr(begin, span.end - begin), span.origin);
    begin = span.end;
  }
}

Text Text::slice(size_t begin, size_t end) const {
  Text result;
  auto span = std::upper_bound(spans_.begin(), spans_.end(), begin,
                               [](size_t wanted, const Span& s) { return wanted < s.end; });
  for (; span != spans_.end() && begin < end; ++span) {
    const size_t stop = std::min(end, span->end);
    result.append(view().substr(begin, stop - begin), span->origin);
    begin = stop;
  }
  return result;
}

size_t character_count(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

size_t character_begin(std::string_view text, size_t number) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
    if (number-- == 0) break;
  }
  return at;
}

uint32_t code_point_at(std::string_view text, size_t at, size_t* length) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const int n = utf8_character_length(text, at);
  *length = static_cast<size_t>(std::max(n, 1));
  if (n <= 1) return byte(0);
  uint32_t code_point = byte(0) & (0xFFU >> (n + 1));
  for (size_t i = 1; i < *length; ++i) code_point = code_point << 6 | (byte(i) & 0x3FU);
  return code_point;
}

bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

namespace {

// Bytes at the beginning, at the end whose characters are `wanted`.
template <class Wanted>
size_t leading(std::string_view text, const Wanted& wanted) {
  size_t at = 0;
  for (size_t length = 0; at < text.size(); at += length) {
    if (!wanted(code_point_at(text, at, &length))) break;
  }
  return at;
}
template <class Wanted>
size_t trailing(std::string_view text, const Wanted& wanted) {
  size_t end = text.size();
  while (end > 0) {
    size_t length = 0;
    const size_t at = utf8_boundary_at_or_before(text, end - 1);
    if (!wanted(code_point_at(text, at, &length))) break;
    end = at;
  }
  return text.size() - end;
}

bool ends_line(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

void add_part(std::vector<Text>& parts, Text part, Spend spend) {
  spend(sizeof(Text) + part.weight());
  parts.push_back(std::move(part));
}

std::vector<Text> split_at_spaces(const Text& text, int64_t most, Spend spend) {
  std::vector<Text> parts;
  const std::string_view all = text.view();
  for (size_t at = spaces_before(all); at < all.size();) {
    size_t end = all.size();
    if (most < 0 || static_cast<int64_t>(parts.size()) < most) {
      end = at + leading(all.substr(at), [](uint32_t c) { return !is_space(c); });
    } else {
      end -= spaces_behind(all);
    }
    add_part(parts, text.slice(at, end), spend);
    at = end + spaces_before(all.substr(end));
  }
  return parts;
}

// Scripts without upper and lower case, and signs: Chinese, Japanese, Korean, punctuation, emoji.
bool is_caseless(uint32_t c) {
  return (c >= 0x2000 && c < 0x2070) || (c >= 0x2190 && c < 0x2460) ||
         (c >= 0x2500 && c < 0x2C00) || (c >= 0x2E80 && c < 0xA000) ||
         (c >= 0xAC00 && c < 0xD7B0) || (c >= 0xFF01 && c < 0xFF21) ||
         (c >= 0xFF5B && c < 0x10000) || (c >= 0x1F300 && c < 0x1FB00) || c >= 0x20000;
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_letter(char c) { return upper(c) != c || lower(c) != c; }

}  // namespace

size_t spaces_before(std::string_view text) { return leading(text, is_space); }
size_t spaces_behind(std::string_view text) { return trailing(text, is_space); }

Text strip(const Text& text, Sides sides, std::optional<std::string_view> characters) {
  const auto unwanted = [&](uint32_t c) {
    if (!characters) return is_space(c);
    for (size_t at = 0, length = 0; at < characters->size(); at += length) {
      if (code_point_at(*characters, at, &length) == c) return true;
    }
    return false;
  };
  size_t begin = 0, end = text.size();
  if (sides != Sides::kRight) begin = leading(text.view(), unwanted);
  if (sides != Sides::kLeft) end -= trailing(text.view().substr(begin), unwanted);
  return text.slice(begin, end);
}

std::vector<Text> split(const Text& text, std::optional<std::string_view> separator, int64_t most,
                        Spend spend) {
  if (!separator) return split_at_spaces(text, most, spend);
  std::vector<Text> parts;
  size_t begin = 0;
  while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
    const size_t found = text.view().find(*separator, begin);
    if (found == std::string_view::npos) break;
    add_part(parts, text.slice(begin, found), spend);
    begin = found + separator->size();
  }
  add_part(parts, text.slice(begin, text.size()), spend);
  return parts;
}

std::vector<Text> split_from_right(const Text& text, std::string_view separator, int64_t most,
                                   Spend spend) {
  std::vector<Text> parts;
  size_t end = text.size();
  while (end >= separator.size() && (most < 0 || static_cast<int64_t>(parts.size()) < most)) {
    const size_t found = text.view().rfind(separator, end - separator.size());
    if (found == std::string_view::npos) break;
    add_part(parts, text.slice(found + separator.size(), end), spend);
    end = found;
  }
  add_part(parts, text.slice(0, end), spend);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> split_lines(const Text& text, Spend spend) {
  std::vector<Text> lines;
  const std::string_view all = text.view();
  size_t begin = 0;
  for (size_t at = 0, length = 0; at < all.size(); at += length) {
    const uint32_t c = code_point_at(all, at, &length);
    if (!ends_line(c)) continue;
    add_part(lines, text.slice(begin, at), spend);
    if (c == '\r' && at + 1 < all.size() && all[at + 1] == '\n') length = 2;
    begin = at + length;
  }
  if (begin < all.size()) add_part(lines, text.slice(begin, all.size()), spend);
  return lines;
}

Text replace(const Text& text, std::string_view from, const Text& to, int64_t most) {
  Text result;
  if (from.empty()) {  // before every character and at the end, as Python does
    int64_t done = 0;
    for (size_t at = 0, length = 0;; at += length) {
      if (most < 0 || done < most) result.append(to);
      ++done;
      if (at >= text.size()) return result;
      code_point_at(text.view(), at, &length);
      result.append(text.slice(at, at + length));
    }
  }
  size_t begin = 0;
  for (int64_t done = 0; most < 0 || done < most; ++done) {
    const size_t found = text.view().find(from, begin);
    if (found == std::string_view::npos) break;
    result.append(text.slice(begin, found));
    result.append(to);
    begin = found + from.size();
  }
  result.append(text.slice(begin, text.size()));
  return result;
}

std::optional<Text> with_case(const Text& text, Case wanted) {
  std::string changed = text.bytes();
  bool first = true;  // of the text, or of a word
  for (size_t at = 0, length = 0; at < changed.size(); at += length) {
    const uint32_t code_point = code_point_at(changed, at, &length);
    if (code_point >= 0x80 && !is_caseless(code_point)) return std::nullopt;
    char& c = changed[at];
    if (code_point < 0x80) {
      c = wanted == Case::kUpper || (wanted != Case::kLower && first) ? upper(c) : lower(c);
    }
    first = wanted == Case::kTitle && !(code_point < 0x80 && is_letter(c));
  }
  Text result;
  size_t begin = 0;
  for (const Text::Span& span : text.spans()) {
    result.append(std::string_view(changed).substr(begin, span.end - begin), span.origin);
    begin = span.end;
  }
  return result;
}

}  // namespace hadal::jinja
