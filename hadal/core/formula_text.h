// core/formula_text.h: the names in a formula, and the formula with others in their places.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hadal {

// Identifiers of an expression, each once, in order of appearance (functions among them). The e of
// 1e9 is none.
std::vector<std::string> names_in(const std::string& expression);

// The expression with each identifier replaced by `text_of(identifier)`; empty text keeps it.
std::string replace_names(const std::string& expression,
                          const std::function<std::string(const std::string&)>& text_of);

}  // namespace hadal
