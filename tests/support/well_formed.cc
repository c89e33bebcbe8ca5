#include "tests/support/well_formed.h"

#include <regex>
#include <vector>

namespace hadal::test {

bool is_well_formed(const std::string& svg) {
  std::vector<std::string> open;
  static const std::regex kEntity("^&(amp|lt|gt|quot);");
  for (size_t i = 0; i < svg.size(); ++i) {
    if (svg[i] == '&' && !std::regex_search(svg.substr(i, 6), kEntity)) return false;
    if (svg[i] == '>') return false;
    if (svg[i] != '<') continue;
    bool quoted = false;
    size_t end = i + 1;
    for (; end < svg.size() && (quoted || svg[end] != '>'); ++end) {
      if (svg[end] == '"') quoted = !quoted;
      if (svg[end] == '<') return false;
    }
    if (end == svg.size()) return false;
    const std::string tag = svg.substr(i + 1, end - i - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (tag[0] == '/') {
      if (open.empty() || "/" + open.back() != name) return false;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    i = end;
  }
  return open.empty();
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace hadal::test
