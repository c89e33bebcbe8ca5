#include "hadal/jinja/lexer.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/utf8.h"
#include "hadal/jinja/text.h"

namespace hadal::jinja {

void refuse_template(const std::string& source, int line, const std::string& problem,
                     const std::string& found, const std::string& expected) {
  throw FormatError({.place = {source, ": line ", line},
                     .problem = problem,
                     .found = found,
                     .expected = expected});
}

namespace {

// Line breaks as "\n"; the last one is not part of the template.
std::string with_plain_line_breaks(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
      continue;
    }
    out += '\n';
    if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

class Lexer {
 public:
  Lexer(std::string text, const std::string& source) : text_(std::move(text)), source_(source) {}

  std::vector<Token> read() {
    while (at_ < text_.size()) read_text_and_mark();
    add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& found,
                         const std::string& expected) const {
    refuse_template(source_, line_, problem, found, expected);
  }
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  bool at(std::string_view word) const { return rest().substr(0, word.size()) == word; }
  void add(Token::Kind kind, std::string value) {
    tokens_.push_back({kind, std::move(value), line_});
  }
  // Goes on by so many bytes.
  void pass(size_t bytes) {
    const std::string_view passed = rest().substr(0, bytes);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    if (!passed.empty()) line_begins_ = passed.back() == '\n';
    at_ += passed.size();
  }

  void read_text_and_mark() {
    size_t mark = at_;
    for (; mark < text_.size(); ++mark) {
      mark = std::min(text_.find('{', mark), text_.size());
      if (mark + 1 < text_.size() &&
          (text_[mark + 1] == '%' || text_[mark + 1] == '{' || text_[mark + 1] == '#')) {
        break;
      }
    }
    if (mark >= text_.size()) {
      add(Token::Kind::kText, std::string(rest()));
      pass(rest().size());
      return;
    }
    const char kind = text_[mark + 1];
    const char sign = mark + 2 < text_.size() ? text_[mark + 2] : ' ';
    add_text(mark, kind, sign);
    pass(mark - at_ + (sign == '-' || sign == '+' ? 3 : 2));
    if (kind == '#') {
      pass_comment();
    } else if (kind == '%' && !read_raw()) {
      add(Token::Kind::kBlockBegin, "{%");
      read_inside("%}", Token::Kind::kBlockEnd);
    } else if (kind == '{') {
      add(Token::Kind::kPrintBegin, "{{");
      read_inside("}}", Token::Kind::kPrintEnd);
    }
  }

  // The text before a mark, without the white space that the mark takes.
  void add_text(size_t mark, char kind, char sign) {
    std::string_view text = rest().substr(0, mark - at_);
    if (sign == '-') {
      text.remove_suffix(spaces_behind(text));
    } else if (sign != '+' && kind != '{') {
      const size_t line = text.rfind('\n') + 1;  // 0 without one
      if ((line > 0 || line_begins_) && spaces_before(text.substr(line)) == text.size() - line) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) add(Token::Kind::kText, std::string(text));
  }

  // An ending mark of two signs, perhaps behind "-" or "+", and what it takes. False if none is here.
  bool pass_end(std::string_view mark, bool takes_line_break) {
    const bool minus = at("-") && rest().substr(1, 2) == mark;
    const bool plus = takes_line_break && at("+") && rest().substr(1, 2) == mark;
    if (!minus && !plus && !at(mark)) return false;
    pass(minus || plus ? 3 : 2);
    if (minus) {
      pass(spaces_before(rest()));
    } else if (!plus && takes_line_break && at("\n")) {
      pass(1);
    }
    return true;
  }

  void pass_comment() {
    while (at_ < text_.size()) {
      if (pass_end("#}", true)) return;
      pass(1);
    }
    fail("comment without an end", "the end of the template", "#}");
  }

  // {% raw %} ... {% endraw %}: text as it stands.
  bool read_raw() {
    const size_t begin = at_;
    const int line = line_;
    const bool line_begins = line_begins_;
    pass(spaces_before(rest()));
    if (at("raw")) {
      pass(3);
      pass(spaces_before(rest()));
      if (at("-%}") || at("%}")) {
        if (at("-")) {
          pass(3);
          pass(spaces_before(rest()));
        } else {
          pass(2);
        }
        read_raw_text();
        return true;
      }
    }
    at_ = begin;
    line_ = line;
    line_begins_ = line_begins;
    return false;
  }
  void read_raw_text() {
    for (size_t mark = text_.find("{%", at_); mark != std::string::npos;
         mark = text_.find("{%", mark + 2)) {
      size_t end = mark + 2;
      const char sign = end < text_.size() ? text_[end] : ' ';
      if (sign == '-' || sign == '+') ++end;
      end += spaces_before(std::string_view(text_).substr(end));
      if (text_.compare(end, 6, "endraw") != 0) continue;
      end += 6;
      end += spaces_before(std::string_view(text_).substr(end));
      const size_t here = at_;
      const auto is = [&](std::string_view word) {
        return text_.compare(end, word.size(), word) == 0;
      };
      if (!is("%}") && !is("-%}") && !is("+%}")) continue;
      add_text(mark, '%', sign);
      pass(end - here);
      pass_end("%}", true);
      return;
    }
    fail("raw block without an end", "the end of the template", "{% endraw %}");
  }

  void read_inside(std::string_view end, Token::Kind end_kind) {
    std::string open;  // brackets, each by the one that closes it
    const int begin_line = line_;
    for (;;) {
      pass(spaces_before(rest()));
      if (at_ >= text_.size()) {
        line_ = begin_line;
        fail("mark without an end", "the end of the template", std::string(end));
      }
      if (open.empty()) {
        const int line = line_;
        if (pass_end(end, end_kind == Token::Kind::kBlockEnd)) {
          tokens_.push_back({end_kind, std::string(end), line});
          return;
        }
      }
      read_token(open);
    }
  }

  void read_token(std::string& open) {
    const char c = text_[at_];
    if (is_digit(c)) return read_number();
    if (is_name_start(c)) {
      size_t n = 1;
      while (at_ + n < text_.size() && (is_name_start(text_[at_ + n]) || is_digit(text_[at_ + n])))
        ++n;
      add(Token::Kind::kName, std::string(rest().substr(0, n)));
      return pass(n);
    }
    if (c == '\'' || c == '"') return read_string(c);
    for (const std::string_view op : {"//", "**", "==", "!=", ">=", "<="}) {
      if (!at(op)) continue;
      add(Token::Kind::kOperator, std::string(op));
      return pass(2);
    }
    if (std::string_view("+-/*%~[](){}<>=.:|,").find(c) == std::string_view::npos) {
      size_t length = 0;
      code_point_at(text_, at_, &length);
      fail("unknown character", in_quotes(rest().substr(0, length)), "an expression");
    }
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) {
        fail("bracket that nothing opened", std::string(1, c),
             open.empty() ? "an expression" : open.substr(open.size() - 1));
      }
      open.pop_back();
    }
    add(Token::Kind::kOperator, std::string(1, c));
    pass(1);
  }

  // Decimal digits, with "_" between them.
  size_t digits(size_t from) const {
    size_t n = 0;
    while (from + n < text_.size() &&
           (is_digit(text_[from + n]) ||
            (n > 0 && text_[from + n] == '_' && from + n + 1 < text_.size() &&
             is_digit(text_[from + n + 1])))) {
      ++n;
    }
    return n;
  }
  void read_number() {
    size_t n = digits(at_);
    Token::Kind kind = Token::Kind::kInteger;
    const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';  // x.0.1 asks twice for a place
    if (!after_dot && at_ + n < text_.size() && text_[at_ + n] == '.' && digits(at_ + n + 1) > 0) {
      n += 1 + digits(at_ + n + 1);
      kind = Token::Kind::kFloat;
    }
    if (!after_dot && at_ + n < text_.size() && (text_[at_ + n] == 'e' || text_[at_ + n] == 'E')) {
      const size_t sign =
          at_ + n + 1 < text_.size() && (text_[at_ + n + 1] == '-' || text_[at_ + n + 1] == '+')
              ? 1
              : 0;
      if (const size_t exponent = digits(at_ + n + 1 + sign); exponent > 0) {
        n += 1 + sign + exponent;
        kind = Token::Kind::kFloat;
      }
    }
    std::string value(rest().substr(0, n));
    if (kind == Token::Kind::kInteger && value.size() > 1 && value[0] == '0' &&
        value.find_first_not_of("0_") != std::string::npos) {
      fail("number that begins with 0", value, "decimal digits");
    }
    if (at_ + n < text_.size() && (is_name_start(text_[at_ + n]))) {
      fail("number and name without a space", in_quotes(rest().substr(0, n + 8)), "decimal digits");
    }
    std::erase(value, '_');
    add(kind, std::move(value));
    pass(n);
  }

  void read_string(char quote) {
    size_t n = 1;
    while (at_ + n < text_.size() && text_[at_ + n] != quote) n += text_[at_ + n] == '\\' ? 2 : 1;
    if (at_ + n >= text_.size()) fail("string without an end", "the end of the template", {quote});
    const std::string_view inside = rest().substr(1, n - 1);
    std::string value;
    for (size_t i = 0; i < inside.size();) i += read_character(inside.substr(i), value);
    add(Token::Kind::kString, std::move(value));
    pass(n + 1);
  }
  // Appends what stands at the beginning of `from`; returns its length there.
  size_t read_character(std::string_view from, std::string& out) const {
    if (from[0] != '\\' || from.size() < 2) {
      out += from[0];
      return 1;
    }
    constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = from[1];
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      out += kMeanings[i];
      return 2;
    }
    if (c == '\n') return 2;
    if (c >= '0' && c <= '7') {
      size_t n = 1;
      while (n < 3 && n + 1 < from.size() && from[n + 1] >= '0' && from[n + 1] <= '7') ++n;
      append_utf8(out, code(from.substr(1, n), 8));
      return n + 1;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
      const size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      const std::string_view digits_of = from.substr(2, n);
      if (digits_of.size() < n ||
          digits_of.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
        fail("escape without its digits", in_quotes(from.substr(0, n + 2)), "hexadecimal digits");
      }
      append_utf8(out, code(digits_of, 16));
      return n + 2;
    }
    if (c == 'N') fail("character by name", in_quotes(from.substr(0, 12)), "\\u and its number");
    out += '\\';  // an unknown escape is no escape
    return 1;
  }
  uint32_t code(std::string_view digits_of, int base) const {
    const unsigned long value = std::stoul(std::string(digits_of), nullptr, base);
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
      fail("escape of no character", std::string(digits_of), "a Unicode character");
    }
    return static_cast<uint32_t>(value);
  }

  const std::string text_;
  const std::string& source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_begins_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> read_tokens(std::string_view text, const std::string& source) {
  return Lexer(with_plain_line_breaks(text), source).read();
}

}  // namespace hadal::jinja
