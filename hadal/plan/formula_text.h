// plan/formula_text.h: formulas and numbers as text for people.
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

// Six digits at most, whole numbers in full up to 15 digits: "62914560", "0.3891", "2.5e+11".
std::string plain_number(double value);

// In the unit's own habits: 2.664e6 "GPU-hours" -> "2664K GPU-hours", 6.4e9 "B" -> "6.40 GB",
// 0.389 "fraction" -> "38.9 %", 0.0123 "s" -> "12.3 ms".
std::string human_quantity(double value, const std::string& unit);

}  // namespace hadal
