// core/json_write.cc: Json::dump.
#include <charconv>
#include <cmath>

#include "hadal/core/json.h"

namespace hadal {
namespace {

// Bytes of the well-formed UTF-8 character that starts at text[at]; 0 if none does (overlong forms,
// surrogates and values beyond U+10FFFF are not well-formed).
size_t character_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool valid = !(lead == 0xE0 && byte(1) < 0xA0) && !(lead == 0xED && byte(1) > 0x9F);
    return valid && continues(1) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool valid = !(lead == 0xF0 && byte(1) < 0x90) && !(lead == 0xF4 && byte(1) > 0x8F);
    return valid && continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

void write_control(std::string& out, char c) {
  switch (c) {
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 0xF];
  }
}

void write_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t length = character_length(text, i);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      write_control(out, c);
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  out += '"';
}

template <class Number>
void write_number(std::string& out, Number value) {
  char text[40];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  out.append(text, end);
}

void write_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const size_t begin = out.size();
  write_number(out, value);
  // A reader shall find a number with a fraction again, not an integer.
  if (out.find_first_of(".e", begin) == std::string::npos) out += ".0";
}

class Writer {
 public:
  explicit Writer(int indent) : indent_(indent) {}
  void write(const Json& value, int depth) {
    if (value.is_null()) {
      out_ += "null";
    } else if (value.is_bool()) {
      out_ += value.as_bool() ? "true" : "false";
    } else if (value.is_string()) {
      write_string(out_, value.as_string());
    } else if (value.is_array()) {
      list('[', ']', value.as_array(), depth,
           [&](const Json& element) { write(element, depth + 1); });
    } else if (value.is_object()) {
      list('{', '}', value.as_object(), depth, [&](const Json::Member& member) {
        write_string(out_, member.first);
        out_ += indent_ < 0 ? ":" : ": ";
        write(member.second, depth + 1);
      });
    } else if (value.is_unsigned()) {
      write_number(out_, value.as_unsigned());
    } else if (value.is_integer()) {
      write_number(out_, value.as_integer());
    } else {
      write_double(out_, value.as_number());
    }
  }
  std::string take() { return std::move(out_); }

 private:
  template <class Elements, class Write>
  void list(char open, char close, const Elements& elements, int depth, const Write& write_one) {
    out_ += open;
    bool first = true;
    for (const auto& element : elements) {
      if (!first) out_ += ',';
      first = false;
      line(depth + 1);
      write_one(element);
    }
    if (!first) line(depth);
    out_ += close;
  }
  void line(int depth) {
    if (indent_ < 0) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(indent_) * static_cast<size_t>(depth), ' ');
  }

  int indent_;
  std::string out_;
};

}  // namespace

std::string Json::dump(int indent) const {
  Writer writer(indent);
  writer.write(*this, 0);
  return writer.take();
}

}  // namespace hadal
