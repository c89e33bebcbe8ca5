// command/quantity.h: numbers as people write them on a command line.
#pragma once

#include <string>
#include <utility>

namespace hadal::cli {

// "14.8e12", "14.8T", "469B", "2.5M", "300K"; ConfigError in terms of `option`.
double parse_quantity(const std::string& option, const std::string& text);
// "NAME=VALUE"
std::pair<std::string, double> parse_assignment(const std::string& option, const std::string& text);

}  // namespace hadal::cli
