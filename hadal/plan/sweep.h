// plan/sweep.h: the same sheet at many values of one or two of its cells, as a table.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/draw/line_chart.h"
#include "hadal/plan/worksheet.h"

namespace hadal {

struct SweepAxis {
  std::string name;
  std::vector<double> values;
  bool geometric = false;  // so a chart's axis is logarithmic
};

// A value that does not exist (no layout fits): an empty field in CSV, null in JSON, a gap in a
// chart.
inline constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

// Columns: the axes, then what is shown.
struct SweepTable {
  struct Column {
    std::string name, unit;
  };
  std::vector<Column> columns;
  std::vector<SweepAxis> axes;  // one or two; the last one changes fastest
  std::vector<std::vector<double>> rows;
  std::vector<Refusal> problems;  // of each row; empty: none
};

// Says why a sheet makes no sense as it stands (a layout that does not divide); empty: it does.
using SheetJudge = std::function<Refusal(const Worksheet&)>;

// Every combination of the axes' values; the sheet is as before afterwards. A row that `judge`
// refuses, or that has no finite value, has a problem and kNoNumber. ConfigError with the nearest name
// for a cell that does not exist, for more than two axes, and if every row has a problem.
SweepTable sweep(Worksheet& sheet, const std::vector<SweepAxis>& axes,
                 const std::vector<std::string>& shown, const SheetJudge& judge);

// A header line, then numbers that read back. `remarks`: none, or one a row, as a last column.
std::string sweep_csv(const SweepTable& table, const std::vector<std::string>& remarks = {});
Json sweep_json(const SweepTable& table);  // {"columns": [{name, unit}], "rows": [[...]]}
// One panel per unit. The first axis is x; a second one makes a line per value.
LineChart sweep_chart(const SweepTable& table, const std::string& title);

}  // namespace hadal
