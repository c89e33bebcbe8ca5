// jinja/value_text.cc: values as Python's str() and json.dumps() write them.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "hadal/jinja/value.h"

namespace hadal::jinja {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, uint32_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[value >> shift & 0xF];
}

// Characters that Python's repr() escapes: controls, marks of format, private ones and every space
// but the common one. Code points that no Unicode version has a character for are not known here.
bool is_printable(uint32_t c) {
  if (c < 0x20 || c == 0x7F) return false;
  if (c < 0x7F) return true;
  constexpr struct {
    uint32_t first, last;
  } kHidden[] = {{0x80, 0xA0},       {0xAD, 0xAD},       {0x600, 0x605},     {0x61C, 0x61C},
                 {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},     {0x8E2, 0x8E2},
                 {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},   {0x2028, 0x202F},
                 {0x205F, 0x206F},   {0x3000, 0x3000},   {0xE000, 0xF8FF},   {0xFEFF, 0xFEFF},
                 {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD},
                 {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
                 {0xF0000, 0x10FFFF}};
  return std::none_of(std::begin(kHidden), std::end(kHidden),
                      [c](const auto& range) { return c >= range.first && c <= range.last; });
}

// The words of numbers, true, false and null, which the two languages spell differently.
std::optional<std::string> plain_word(const Value& value, bool python) {
  if (value.is_none()) return python ? "None" : "null";
  if (const bool* b = value.get<bool>()) {
    return python ? (*b ? "True" : "False") : (*b ? "true" : "false");
  }
  if (const int64_t* i = value.get<int64_t>()) return std::to_string(*i);
  if (const double* d = value.get<double>()) {
    if (python || std::isfinite(*d)) return float_text(*d);
    return std::isnan(*d) ? "NaN" : *d > 0 ? "Infinity" : "-Infinity";
  }
  return std::nullopt;
}

// A text that is written piece by piece, each told to `spend`.
class Writer {
 public:
  explicit Writer(Spend spend) : spend_(spend) {}
  Text take() { return std::move(out_); }

 protected:
  void put(std::string_view words) {
    spend_(words.size());
    out_.append(words, Origin::kData);
  }
  void put_text(const Text& text) {
    spend_(text.weight());
    out_.append(text);
  }
  // Every character of `text` through `write(out, code point, bytes)`, with the origin it had.
  template <class Write>
  void put_characters(const Text& text, const Write& write) {
    size_t at = 0;
    for (const Text::Span& span : text.spans()) {
      std::string part;
      spend_(sizeof(Text::Span));
      for (size_t length = 0; at < span.end; at += length) {
        const uint32_t c = code_point_at(text.view(), at, &length);
        write(part, c, text.view().substr(at, length));
      }
      spend_(part.size());
      out_.append(part, span.origin);
    }
  }

 private:
  Text out_;
  Spend spend_;
};

// Python's str() and repr().
class PythonWriter : public Writer {
 public:
  using Writer::Writer;
  // False if it has no such form. `quoted`: as inside of a list.
  bool write(const Value& value, bool quoted) {
    const Text* text = value.text();
    if (text && quoted) {
      put_quoted(*text);
    } else if (text) {
      put_text(*text);
    } else if (const auto word = plain_word(value, /*python=*/true)) {
      put(*word);
    } else if (const List* list = value.list()) {
      return write_list(*list);
    } else if (const Dict* dict = value.dict()) {
      return write_dict(*dict);
    } else if (value.is_undefined()) {
      if (quoted) put("Undefined");
    } else {
      return false;
    }
    return true;
  }

 private:
  void put_quoted(const Text& text) {
    const bool single = text.view().find('\'') != std::string_view::npos;
    const char quote = single && text.view().find('"') == std::string_view::npos ? '"' : '\'';
    put({&quote, 1});
    put_characters(text, [&](std::string& part, uint32_t c, std::string_view bytes) {
      if (c == static_cast<uint32_t>(quote) || c == '\\') {
        part += '\\';
        part += bytes;
      } else if (c == '\n' || c == '\r' || c == '\t') {
        part += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
      } else if (is_printable(c)) {
        part += bytes;
      } else {
        part += c < 0x100 ? "\\x" : c < 0x10000 ? "\\u" : "\\U";
        append_hex(part, c, c < 0x100 ? 2 : c < 0x10000 ? 4 : 8);
      }
    });
    put({&quote, 1});
  }
  bool write_list(const List& list) {
    if (list.kind != List::Kind::kList && list.kind != List::Kind::kTuple) return false;
    const bool tuple = list.kind == List::Kind::kTuple;
    put(tuple ? "(" : "[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(", ");
      if (!write(list.items[i], /*quoted=*/true)) return false;
    }
    put(!tuple ? "]" : list.items.size() == 1 ? ",)" : ")");
    return true;
  }
  bool write_dict(const Dict& dict) {
    put("{");
    bool first = true;
    for (const auto& [key, member] : dict.members) {
      if (!first) put(", ");
      first = false;
      put_quoted(key);
      put(": ");
      if (!write(member, /*quoted=*/true)) return false;
    }
    put("}");
    return true;
  }
};

class JsonWriter : public Writer {
 public:
  JsonWriter(const JsonStyle& style, Spend spend) : Writer(spend), style_(style) {}
  bool write(const Value& value, int level) {
    if (const auto word = plain_word(value, /*python=*/false)) {
      put(*word);
      return true;
    }
    if (const Text* text = value.text()) {
      string(*text);
      return true;
    }
    if (const List* list = value.list()) return write_list(*list, level);
    if (const Dict* dict = value.dict()) return write_dict(*dict, level);
    return false;
  }

 private:
  void new_line(int level) {
    if (!style_.indent) return;
    put("\n");
    for (int i = 0; i < level; ++i) put(*style_.indent);
  }
  void string(const Text& text) {
    put("\"");
    put_characters(text, [this](std::string& part, uint32_t c, std::string_view bytes) {
      character(part, c, bytes);
    });
    put("\"");
  }
  void character(std::string& part, uint32_t c, std::string_view bytes) const {
    constexpr std::string_view kNamed = "\"\\\n\r\t\b\f", kNames = "\"\\nrtbf";
    const size_t named = c < 0x80 ? kNamed.find(static_cast<char>(c)) : std::string_view::npos;
    if (named != std::string_view::npos) {
      part += '\\';
      part += kNames[named];
    } else if (c >= 0x20 && (!style_.ensure_ascii || c < 0x7F)) {
      part += bytes;
    } else if (c < 0x10000) {
      part += "\\u";
      append_hex(part, c, 4);
    } else {
      part += "\\u";
      append_hex(part, 0xD800 + ((c - 0x10000) >> 10), 4);
      part += "\\u";
      append_hex(part, 0xDC00 + ((c - 0x10000) & 0x3FF), 4);
    }
  }
  bool write_list(const List& list, int level) {
    if (list.kind != List::Kind::kList && list.kind != List::Kind::kTuple) return false;
    put("[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      new_line(level + 1);
      if (!write(list.items[i], level + 1)) return false;
    }
    if (!list.items.empty()) new_line(level);
    put("]");
    return true;
  }
  bool write_dict(const Dict& dict, int level) {
    std::vector<const std::pair<Text, Value>*> members;
    for (const auto& member : dict.members) members.push_back(&member);
    if (style_.sort_keys) {
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return a->first.view() < b->first.view(); });
    }
    put("{");
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      new_line(level + 1);
      string(members[i]->first);
      put(style_.key_separator);
      if (!write(members[i]->second, level + 1)) return false;
    }
    if (!members.empty()) new_line(level);
    put("}");
    return true;
  }

  const JsonStyle& style_;
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[64];
  const double size = std::fabs(value);
  // Python changes to an exponent where the C library's shortest form would not.
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(text, text + sizeof text, value,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(text, end.ptr);
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::optional<Text> printed_value(const Value& value, Spend spend) {
  PythonWriter writer(spend);
  if (!writer.write(value, /*quoted=*/false)) return std::nullopt;
  return writer.take();
}

std::optional<Text> json_text(const Value& value, const JsonStyle& style, Spend spend) {
  JsonWriter writer(style, spend);
  if (!writer.write(value, 0)) return std::nullopt;
  return writer.take();
}

}  // namespace hadal::jinja
