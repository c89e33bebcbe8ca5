// data/deepseek_scanner.h: the pre-tokenizer of DeepSeek-V3 as a scanner.
//
//   1  \p{N}{1,3}
//   2  [\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+
//   3  [ASCII punctuation][A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ | ?[\p{P}\p{S}]+[\r\n]*
//      | \s*[\r\n]+ | \s+(?!\S) | \s+
//
// Stages 1 and 2 cut the text into windows: runs of numbers, runs of the stage-2 set ("kana"), and
// the rest. Stage 3 sees one window at a time, so the end of a window is the end of the text to it.
// No expression looks back; where a piece begins is all the state there is.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "hadal/data/pre_tokenizer.h"

namespace hadal {

class DeepseekScanner final : public PreTokenizer {
 public:
  DeepseekScanner();
  size_t split(std::string_view text, size_t at, std::vector<uint32_t>& lengths) const override;
  size_t safe_cut(std::string_view text, size_t from) const override;

 private:
  struct Cursor;
  size_t piece_end(std::string_view text, size_t at) const;

  std::vector<uint8_t> classes_;  // UnicodeClass bits and the scanner's own two
};

}  // namespace hadal
