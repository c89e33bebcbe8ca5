// corpus/functions.h: where the functions of a source file stand, by its layout alone: def and indentation
// in Python, a line with (...) that ends with a brace, up to that brace's partner, in the languages of C's
// family. Good enough to hold some out; what looks otherwise is not found.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

struct FunctionSpan {
  std::string name;
  size_t begin = 0, body = 0, end = 0;  // bytes: first line, line after the opening one, line after
};

// In order, none within another; bodies of 2 to 60 lines.
std::vector<FunctionSpan> functions_of(const std::string& path, std::string_view text);

}  // namespace hadal
