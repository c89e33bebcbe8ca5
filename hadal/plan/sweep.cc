#include "hadal/plan/sweep.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"

namespace hadal {
namespace {

// Puts the varied cells back, also when a value cannot be computed.
class Restore {
 public:
  Restore(Worksheet& sheet, const std::vector<SweepAxis>& axes) : sheet_(sheet) {
    for (const SweepAxis& axis : axes) {
      before_.push_back(
          {axis.name, sheet.cell(axis.name).origin == Origin::kGiven, sheet.value(axis.name)});
    }
  }
  ~Restore() {
    for (const Before& each : before_) {
      sheet_.reset(each.name);
      if (each.was_given) sheet_.set(each.name, each.value);
    }
  }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  struct Before {
    std::string name;
    bool was_given;
    double value;
  };
  Worksheet& sheet_;
  std::vector<Before> before_;
};

}  // namespace

namespace {

const Worksheet::Cell& find_cell(const Worksheet& sheet, const std::string& name,
                                 const std::string& setting) {
  try {
    return sheet.cell(name);
  } catch (const ConfigError& error) {
    throw ConfigError(error.in(setting));
  }
}

SweepTable empty_table(const Worksheet& sheet, const std::vector<SweepAxis>& axes,
                       const std::vector<std::string>& shown) {
  require(!axes.empty() && axes.size() <= 2, {.field = "vary",
                                              .problem = "one or two cells can vary",
                                              .found = axes.size(),
                                              .advice = "give {vary} once or twice"});
  require(axes.size() == 1 || axes[0].name != axes[1].name, {.field = "vary",
                                                             .problem = "the same cell twice",
                                                             .found = in_quotes(axes[0].name),
                                                             .advice = "give it one list"});
  require(!shown.empty(),
          {.field = "show", .problem = "nothing to show", .expected = "names of cells"});
  SweepTable table;
  table.axes = axes;
  for (const SweepAxis& axis : axes) {
    table.columns.push_back({axis.name, find_cell(sheet, axis.name, "{vary}").unit});
  }
  for (const std::string& name : shown) {
    table.columns.push_back({name, find_cell(sheet, name, "{show}").unit});
  }
  return table;
}

void add_row(SweepTable& table, const Worksheet& sheet, std::vector<double> row,
             const std::vector<std::string>& shown, const SheetJudge& judge) {
  Refusal problem;
  try {
    problem = judge(sheet);
  } catch (const ConfigError& error) {
    problem = error;
  }
  for (const std::string& name : shown) {
    double value = kNoNumber;
    try {
      if (problem.empty()) value = sheet.value(name);
    } catch (const ConfigError& error) {
      problem = error;
    }
    row.push_back(value);
  }
  table.rows.push_back(std::move(row));
  table.problems.push_back(std::move(problem));
}

}  // namespace

SweepTable sweep(Worksheet& sheet, const std::vector<SweepAxis>& axes,
                 const std::vector<std::string>& shown, const SheetJudge& judge) {
  SweepTable table = empty_table(sheet, axes, shown);
  const Restore restore(sheet, axes);
  for (const double first : axes[0].values) {
    sheet.set(axes[0].name, first);
    if (axes.size() == 1) {
      add_row(table, sheet, {first}, shown, judge);
      continue;
    }
    for (const double second : axes[1].values) {
      sheet.set(axes[1].name, second);
      add_row(table, sheet, {first, second}, shown, judge);
    }
  }
  const bool any_row = std::any_of(table.problems.begin(), table.problems.end(),
                                   [](const Refusal& problem) { return problem.empty(); });
  require(any_row, {.field = "vary",
                    .problem = "no value is possible",
                    .advice = {"the first: ", table.problems.front().line(in_braces)}});
  return table;
}

LineChart sweep_chart(const SweepTable& table, const std::string& title) {
  const auto label = [](const SweepTable::Column& column) {
    return column.unit.empty() || column.unit == column.name
               ? column.name
               : column.name + " (" + column.unit + ")";
  };
  const size_t n_axes = table.axes.size();
  LineChart chart{.title = title,
                  .subtitle = "",
                  .x_label = label(table.columns[0]),
                  .x_logarithmic = table.axes[0].geometric,
                  .panels = {}};
  for (size_t c = n_axes; c < table.columns.size(); ++c) {
    const SweepTable::Column& column = table.columns[c];
    // Cells of one unit share a panel, unless a second axis already makes several lines of each.
    if (n_axes == 2 || c == n_axes || column.unit != table.columns[c - 1].unit) {
      chart.panels.push_back({.label = label(column), .logarithmic = false, .lines = {}});
    } else {
      chart.panels.back().label = column.unit;
    }
    ChartPanel& panel = chart.panels.back();
    const std::vector<double> one = {0.0};
    const std::vector<double>& seconds = n_axes == 2 ? table.axes[1].values : one;
    for (size_t s = 0; s < seconds.size(); ++s) {
      ChartLine line;
      line.name = n_axes == 2 ? table.axes[1].name + " " + tick_text(seconds[s]) : column.name;
      for (size_t r = s; r < table.rows.size(); r += seconds.size()) {
        line.x.push_back(table.rows[r][0]);
        line.y.push_back(table.rows[r][c]);
      }
      panel.lines.push_back(std::move(line));
    }
  }
  // Over a geometric x, what grows tenfold or more is a straight line on a logarithmic axis.
  for (ChartPanel& panel : chart.panels) {
    double low = std::numeric_limits<double>::infinity(), high = 0;
    for (const ChartLine& line : panel.lines) {
      for (const double y : line.y) {
        if (std::isnan(y)) continue;
        low = std::min(low, y);
        high = std::max(high, y);
      }
    }
    panel.logarithmic = chart.x_logarithmic && low > 0 && high >= 10 * low;
  }
  return chart;
}

}  // namespace hadal
