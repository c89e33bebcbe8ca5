// data/tokenizer_unicode.h: what the pre-tokenizers ask of a code point: its general category and
// White_Space, of Unicode 16.0 (the version inside the Oniguruma of Hugging Face's `tokenizers`).
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

enum UnicodeClass : uint8_t {
  kLetter = 1,       // \p{L}
  kMark = 2,         // \p{M}
  kNumber = 4,       // \p{N}
  kPunctuation = 8,  // \p{P}
  kSymbol = 16,      // \p{S}
  kWhiteSpace = 32,  // \s
};
constexpr uint32_t kCodePoints = 0x110000;

// One byte of UnicodeClass bits per code point, made from the generated run table.
std::vector<uint8_t> unicode_classes();

}  // namespace hadal
