#include "hadal/core/formula_text.h"

#include <algorithm>

namespace hadal {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Calls on_name for identifiers and on_other for everything between them.
template <class OnName, class OnOther>
void scan(const std::string& text, const OnName& on_name, const OnOther& on_other) {
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (is_letter(text[i])) {
      while (i < text.size() && (is_letter(text[i]) || is_digit(text[i]))) ++i;
      on_name(text.substr(begin, i - begin));
      continue;
    }
    if (is_digit(text[i]) || text[i] == '.') {  // a number, with its exponent
      while (i < text.size() && (is_digit(text[i]) || text[i] == '.')) ++i;
      if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
        ++i;
        if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
        while (i < text.size() && is_digit(text[i])) ++i;
      }
    } else {
      ++i;
    }
    on_other(text.substr(begin, i - begin));
  }
}

}  // namespace

std::vector<std::string> names_in(const std::string& expression) {
  std::vector<std::string> names;
  scan(
      expression,
      [&](const std::string& name) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      },
      [](const std::string&) {});
  return names;
}

std::string replace_names(const std::string& expression,
                          const std::function<std::string(const std::string&)>& text_of) {
  std::string result;
  scan(
      expression,
      [&](const std::string& name) {
        const std::string text = text_of(name);
        result += text.empty() ? name : text;
      },
      [&](const std::string& other) { result += other; });
  return result;
}

}  // namespace hadal
