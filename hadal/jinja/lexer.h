// jinja/lexer.h: a template's source cut into text and tokens, with the white space that Hugging Face's
// settings take away: trim_blocks (the line break behind a block) and lstrip_blocks (the blanks before
// a block that begins its line), "-" and "+" beside a mark, and the source's last line break.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal::jinja {

struct Token {
  enum class Kind {
    kText,
    kBlockBegin,
    kBlockEnd,
    kPrintBegin,
    kPrintEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  std::string value;  // a string's characters; an operator's signs
  int line = 0;
};

// FormatError "SOURCE: line N: ..." for what is no template. REQUIRES valid UTF-8.
std::vector<Token> read_tokens(std::string_view text, const std::string& source);

// FormatError at a line of a template, one line of text.
[[noreturn]] void refuse_template(const std::string& source, int line, const std::string& problem,
                                  const std::string& found, const std::string& expected);

}  // namespace hadal::jinja
