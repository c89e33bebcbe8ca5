#include "hadal/cli/sweep_axis.h"

#include <algorithm>
#include <cmath>

#include "hadal/command/quantity.h"
#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/plan/plan.h"

namespace hadal::cli {
namespace {

constexpr size_t kMostValues = 1000;

struct Reader {
  const std::string& option;

  double number(std::string_view text) const { return parse_quantity(option, std::string(text)); }

  std::vector<double> list(std::string_view text) const {
    std::vector<double> values;
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      values.push_back(number(text.substr(begin, end - begin)));
      begin = end + 1;
      check_count(values.size());
    }
    return values;
  }

  // from, from * factor, ... up to `to`, which is met within rounding
  std::vector<double> geometric(double from, double to, double factor) const {
    require(from > 0 && to >= from && factor > 1,
            {.field = option,
             .problem = "a geometric range goes up",
             .found = {from, ":", to, ":x", factor},
             .expected = "0 < FROM <= TO and a factor above 1"});
    std::vector<double> values;
    for (double value = from; value <= to * (1 + 1e-9); value *= factor) {
      values.push_back(value);
      check_count(values.size());
    }
    return values;
  }

  std::vector<double> steps(double from, double to, double count) const {
    require(count >= 1 && count <= static_cast<double>(kMostValues) && count == std::floor(count),
            {.field = option,
             .problem = "a range needs a number of values",
             .found = count,
             .expected = {"1 to ", kMostValues, ", or x2 to double"}});
    const auto n = static_cast<size_t>(count);
    std::vector<double> values(n, from);
    for (size_t i = 1; i < n; ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(n - 1);
      values[i] = from * (1 - share) + to * share;
    }
    return values;
  }

  void check_count(size_t n) const {
    require(n <= kMostValues, {.field = option,
                               .problem = "too many values",
                               .found = {"more than ", kMostValues},
                               .expected = "at most that",
                               .advice = "take larger steps"});
  }
};

}  // namespace

SweepAxis parse_sweep_axis(const std::string& text, const std::string& option) {
  const size_t equals = text.find('=');
  require(equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
          {.field = option,
           .problem = "no values to vary",
           .found = in_quotes(text),
           .expected = "NAME=1,2,4 or NAME=FROM:TO:COUNT or NAME=FROM:TO:x2"});
  SweepAxis axis;
  axis.name = text.substr(0, equals);
  const Reader read{option};
  const std::string_view values = std::string_view(text).substr(equals + 1);
  const size_t first = values.find(':');
  if (first == std::string_view::npos) {
    axis.values = read.list(values);
    return axis;
  }
  const size_t second = values.find(':', first + 1);
  require(second != std::string_view::npos && second + 1 < values.size(),
          {.field = option,
           .problem = "a range has three parts",
           .found = in_quotes(values),
           .expected = "FROM:TO:COUNT or FROM:TO:x2"});
  const double from = read.number(values.substr(0, first));
  const double to = read.number(values.substr(first + 1, second - first - 1));
  const std::string_view step = values.substr(second + 1);
  axis.geometric = step.front() == 'x';
  axis.values = axis.geometric ? read.geometric(from, to, read.number(step.substr(1)))
                               : read.steps(from, to, read.number(step));
  return axis;
}

}  // namespace hadal::cli
