// jinja/text.h: a string that remembers which of its characters a template's author wrote and which
// came with the data. What a user types must never become a control token, however a template cuts and
// joins it, so the origin goes through every operation on strings.
//
// A Text is valid UTF-8. Positions are bytes unless a name says characters (code points).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/core/function_ref.h"

namespace hadal::jinja {

enum class Origin : uint8_t {
  kTemplate,  // a literal of the template, or a variable that counts as one (bos_token)
  kData,      // messages, tools, and what is computed from them
};

class Text {
 public:
  struct Span {
    size_t end;  // the one before ends where this begins
    Origin origin;
  };

  Text() = default;
  // What is no UTF-8 becomes U+FFFD.
  Text(std::string bytes, Origin origin);

  const std::string& bytes() const { return bytes_; }
  std::string_view view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Bytes of memory that its characters take with what is known of them.
  size_t weight() const { return size() + sizeof(Span) * spans_.size(); }
  const std::vector<Span>& spans() const { return spans_; }  // tile the bytes; neighbours differ
  Origin origin_at(size_t at) const;                         // REQUIRES at < size()

  void append(const Text& more);
  void append(std::string_view bytes, Origin origin);
  // REQUIRES ends of characters, begin <= end <= size().
  Text slice(size_t begin, size_t end) const;

 private:
  std::string bytes_;
  std::vector<Span> spans_;
};

// --- characters ---
size_t character_count(std::string_view text);
// Where the character with this number begins; text.size() behind the last one.
size_t character_begin(std::string_view text, size_t number);
uint32_t code_point_at(std::string_view text, size_t at, size_t* length);
bool is_space(uint32_t code_point);  // as Python's str.isspace()
// Bytes of white space at the beginning, at the end.
size_t spaces_before(std::string_view text);
size_t spaces_behind(std::string_view text);

// --- Python's methods of strings ---
enum class Sides : uint8_t { kBoth, kLeft, kRight };
// Without `characters`: white space.
Text strip(const Text& text, Sides sides, std::optional<std::string_view> characters);
// Is told the bytes that something costs before or while it is made; throws when it is too much.
using Spend = FunctionRef<void(size_t bytes)>;
// Without a separator: at runs of white space. `most` < 0: everywhere. REQUIRES a separator not "".
std::vector<Text> split(const Text& text, std::optional<std::string_view> separator, int64_t most,
                        Spend spend);
std::vector<Text> split_from_right(const Text& text, std::string_view separator, int64_t most,
                                   Spend spend);
std::vector<Text> split_lines(const Text& text, Spend spend);
Text replace(const Text& text, std::string_view from, const Text& to, int64_t most);

enum class Case : uint8_t { kUpper, kLower, kCapital, kTitle };
// Nothing for letters beyond ASCII that have two cases: their tables are not here.
std::optional<Text> with_case(const Text& text, Case wanted);

}  // namespace hadal::jinja
