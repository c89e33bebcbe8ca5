#include "hadal/command/quantity.h"

#include <charconv>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"

namespace hadal::cli {

double parse_quantity(const std::string& option, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string suffix(end, text.data() + text.size());
  const std::pair<const char*, double> suffixes[] = {{"", 1},    {"K", 1e3}, {"M", 1e6},
                                                     {"B", 1e9}, {"G", 1e9}, {"T", 1e12}};
  for (const auto& [name, factor] : suffixes) {
    if (error == std::errc() && suffix == name && std::isfinite(value * factor)) {
      return value * factor;
    }
  }
  throw ConfigError({.field = option,
                     .problem = "not a number here",
                     .found = in_quotes(text),
                     .expected = "one as 14.8e12 or 14.8T"});
}

std::pair<std::string, double> parse_assignment(const std::string& option,
                                                const std::string& text) {
  const size_t equals = text.find('=');
  require(equals != std::string::npos && equals > 0, {.field = option,
                                                      .problem = "not an assignment",
                                                      .found = in_quotes(text),
                                                      .expected = "NAME=VALUE",
                                                      .advice = "{cells} lists the names"});
  return {text.substr(0, equals),
          parse_quantity(concat(option, " ", one_line(text.substr(0, equals), 60)),
                         text.substr(equals + 1))};
}

}  // namespace hadal::cli
