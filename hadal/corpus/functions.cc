#include "hadal/corpus/functions.h"

#include <algorithm>
#include <iterator>

#include "hadal/corpus/source_file.h"
#include "hadal/corpus/white_space.h"

namespace hadal {
namespace {

constexpr size_t kFewestLines = 2, kMostLines = 60;

struct Line {
  size_t begin = 0, end = 0;  // without the line break
  size_t next = 0;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back({at, end, std::min(end + 1, text.size())});
    at = lines.back().next;
  }
  return lines;
}

bool part_of_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

// The name that ends where `text` does.
std::string name_at_end(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  size_t begin = text.size();
  while (begin > 0 && part_of_name(text[begin - 1])) --begin;
  return std::string(text.substr(begin));
}

size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(" \t"), line.size());
}

// "def NAME(" or "async def NAME(": NAME; "" for another line.
std::string python_name(std::string_view line) {
  line.remove_prefix(indent_of(line));
  if (line.starts_with("async ")) line.remove_prefix(6);
  const size_t open = line.find('(');
  if (!line.starts_with("def ") || open == std::string_view::npos) return "";
  return name_at_end(line.substr(0, open));
}

// "type NAME(...) {": NAME; "" for what is no function's first line.
std::string braced_name(std::string_view line) {
  constexpr std::string_view kNoFunctions[] = {"if",    "for",   "while",     "switch", "else",
                                               "class", "catch", "namespace", "struct", "return",
                                               "do",    "try",   "enum"};
  const size_t open = line.find('(');
  if (open == std::string_view::npos || line.find(')', open) == std::string_view::npos) return "";
  if (!line.ends_with('{') || line.find('=') < open) return "";
  std::string_view first = line.substr(indent_of(line));
  first = first.substr(
      0, static_cast<size_t>(std::find_if_not(first.begin(), first.end(), part_of_name) -
                             first.begin()));
  std::string name = name_at_end(line.substr(0, open));
  const auto is_other = [&](std::string_view word) {
    return std::find(std::begin(kNoFunctions), std::end(kNoFunctions), word) !=
           std::end(kNoFunctions);
  };
  return is_other(first) || is_other(name) ? "" : name;
}

// The line after the function whose first line is `first`; 0 if it has no end.
size_t python_end(std::string_view text, const std::vector<Line>& lines, size_t first) {
  const auto line = [&](size_t i) {
    return text.substr(lines[i].begin, lines[i].end - lines[i].begin);
  };
  const size_t indent = indent_of(line(first));
  size_t end = first + 1;
  for (size_t i = first + 1; i < lines.size(); ++i) {
    const size_t here = indent_of(line(i));
    if (here == line(i).size()) continue;  // blank lines belong to what follows
    if (here <= indent && line(i)[here] != ')') break;
    end = i + 1;
  }
  return end;
}

size_t braced_end(std::string_view text, const std::vector<Line>& lines, size_t first) {
  int64_t depth = 0;
  for (size_t i = first; i < lines.size(); ++i) {
    for (const char c : text.substr(lines[i].begin, lines[i].end - lines[i].begin)) {
      depth += int64_t{c == '{'} - int64_t{c == '}'};
    }
    if (depth <= 0) return i + 1;
  }
  return 0;
}

}  // namespace

std::vector<FunctionSpan> functions_of(const std::string& path, std::string_view text) {
  const std::string extension = " " + text_extension(path) + " ";
  const auto among = [&](std::string_view extensions) {
    return extensions.find(extension) != std::string_view::npos;
  };
  const bool python = among(" py pyi ");
  std::vector<FunctionSpan> functions;
  if (!python && !among(" c h cc cpp cxx hh hpp java js ts go rs cs kt swift cu "))
    return functions;
  const std::vector<Line> lines = lines_of(text);
  for (size_t i = 0; i < lines.size();) {
    const std::string_view line = text.substr(lines[i].begin, lines[i].end - lines[i].begin);
    const std::string name = python ? python_name(line) : braced_name(line);
    const size_t end = name.empty() ? 0
                       : python     ? python_end(text, lines, i)
                                    : braced_end(text, lines, i);
    const size_t body_lines = end > i + 1 ? end - i - 1 : 0;
    if (body_lines < kFewestLines || body_lines > kMostLines) {
      ++i;
      continue;
    }
    functions.push_back({name, lines[i].begin, lines[i].next, lines[end - 1].next});
    i = end;
  }
  return functions;
}

}  // namespace hadal
