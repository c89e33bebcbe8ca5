#include "hadal/core/utf8.h"

namespace hadal {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Sequence {
  int length;  // bytes of the character, or of the maximal subpart if ill-formed
  bool valid;
};

Sequence sequence_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = byte(at);
  if (lead < 0x80) return {1, true};
  // The second byte's range is narrower after E0, ED, F0 and F4; the others take 80..BF.
  int continuations = 0;
  unsigned low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    continuations = 1;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    continuations = 2;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    continuations = 3;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  for (int i = 1; i <= continuations; ++i) {
    const unsigned next = byte(at + static_cast<size_t>(i));
    if (next < low || next > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {continuations + 1, true};
}

}  // namespace

int utf8_character_length(std::string_view text, size_t at) {
  if (at >= text.size()) return 0;
  const Sequence sequence = sequence_at(text, at);
  return sequence.valid ? sequence.length : 0;
}

bool valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = sequence_at(text, at);
    if (!sequence.valid) return false;
    at += static_cast<size_t>(sequence.length);
  }
  return true;
}

Utf8Flaws utf8_flaws(std::string_view text) {
  Utf8Flaws flaws;
  int64_t line = 1;
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = sequence_at(text, at);
    if (!sequence.valid && flaws.count++ == 0) flaws.first_line = line;
    if (text[at] == '\n') ++line;
    at += static_cast<size_t>(sequence.length);
  }
  return flaws;
}

std::string repair_utf8(std::string text) {
  if (valid_utf8(text)) return text;
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = sequence_at(text, at);
    const auto length = static_cast<size_t>(sequence.length);
    out += sequence.valid ? std::string_view(text).substr(at, length) : kReplacement;
    at += length;
  }
  return out;
}

void append_utf8(std::string& out, uint32_t code_point) {
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    out += kReplacement;
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

size_t utf8_boundary_at_or_before(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

}  // namespace hadal
