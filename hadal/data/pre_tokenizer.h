// data/pre_tokenizer.h: cuts a text into the pieces inside which BPE may merge (docs/formats.md).
//
// A tokenizer.json states a sequence of regular expressions; each one runs on every piece that the
// one before left, and both its matches and the text between them become pieces. Any such sequence
// runs through PCRE2; the three expressions of DeepSeek-V3 are recognised by their text and run
// through a scanner written by hand (deepseek_scanner.h), which a test holds equal to PCRE2.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Appends to `lengths` the byte lengths of the pieces from text[at] on, where a piece begins, and
  // returns where it stopped: at the end, or after a batch of pieces.
  // REQUIRES valid UTF-8, less than 4 GiB.
  virtual size_t split(std::string_view text, size_t at, std::vector<uint32_t>& lengths) const = 0;
  // A position p >= `from` such that split(text) == split(text[0,p)) + split(text[p,...)) and
  // finding it took a bounded look at the text; text.size() if none is known near.
  virtual size_t safe_cut(std::string_view text, size_t from) const = 0;
};

// One regular expression in Oniguruma's syntax; `field` is where it stands, for messages.
struct SplitStage {
  std::string pattern;
  std::string field;
};

extern const char* const kDeepseekPatterns[3];
bool is_deepseek_sequence(const std::vector<SplitStage>& stages);

// FormatError for an expression that is invalid, can match nothing, or uses what Oniguruma and
// PCRE2 understand differently.
std::unique_ptr<PreTokenizer> make_regex_splitter(const std::vector<SplitStage>& stages);
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const std::vector<SplitStage>& stages);

}  // namespace hadal
