#include "hadal/data/byte_level.h"

#include <array>
#include <cstdint>

#include "hadal/core/utf8.h"

namespace hadal {
namespace {

constexpr uint32_t kFirstShifted = 0x100, kShifted = 68;
constexpr uint16_t kNoByte = 256;

struct Alphabet {
  std::array<uint16_t, 256> character{};                  // of a byte
  std::array<uint16_t, kFirstShifted + kShifted> byte{};  // of a character, or kNoByte
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  a.byte.fill(kNoByte);
  uint16_t shifted = kFirstShifted;
  for (uint16_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    a.character[b] = printable ? b : shifted++;
    a.byte[a.character[b]] = b;
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) append_utf8(out, kAlphabet.character[static_cast<uint8_t>(c)]);
  return out;
}

bool append_from_byte_level(std::string_view text, std::string& bytes) {
  const size_t before = bytes.size();
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    uint32_t c = lead;
    if (lead >= 0xC0 && i + 1 < text.size()) {  // two bytes reach U+07FF, beyond the alphabet
      c = (lead & 0x1FU) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3FU);
      if (lead >= 0xE0) c = kFirstShifted + kShifted;
    } else if (lead >= 0x80) {
      c = kFirstShifted + kShifted;
    }
    if (c >= kAlphabet.byte.size() || kAlphabet.byte[c] == kNoByte) {
      bytes.resize(before);
      return false;
    }
    bytes += static_cast<char>(kAlphabet.byte[c]);
  }
  return true;
}

}  // namespace hadal
