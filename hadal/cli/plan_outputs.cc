#include "hadal/cli/plan_outputs.h"

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/io/atomic_write.h"
#include "hadal/plan_text/sweep_text.h"

namespace hadal::cli {

void bind_table_files(Flags& flags, TableFiles& files) {
  flags.option("csv", files.csv, "write the table as CSV");
  flags.option("svg", files.svg, "write a chart");
}

std::vector<std::string> split_names(const std::string& option,
                                     const std::vector<std::string>& given) {
  std::vector<std::string> names;
  for (const std::string& text : given) {
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      require(end > begin, {.field = option,
                            .problem = "a name is missing",
                            .found = in_quotes(text),
                            .expected = "names with one comma between"});
      names.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  require(!names.empty(), {.field = option,
                           .problem = "nothing to show",
                           .found = "no name",
                           .expected = "one or more",
                           .advice = "`hadal plan --cells` lists them"});
  return names;
}

int print_table(const SweepTable& table, const LineChart& chart,
                const std::vector<std::string>& remarks, const TableFiles& files, Output& out) {
  // Files first: if one cannot be written, nothing claims otherwise.
  if (!files.csv.empty()) write_file_atomically(files.csv, sweep_csv(table, remarks));
  if (!files.svg.empty()) write_file_atomically(files.svg, line_chart_svg(chart));
  if (out.json()) {
    Json document = sweep_json(table);
    if (!remarks.empty()) document["remarks"] = Json::array_of(remarks);
    out.report(document);
    return 0;
  }
  out.text(sweep_text(table, remarks));
  for (size_t r = 0; r < table.problems.size(); ++r) {
    if (table.problems[r].empty()) continue;
    out.text(concat("row ", r + 1, ": ", table.problems[r].line(out.option_of()), "\n"));
  }
  for (const std::string& path : {files.csv, files.svg}) {
    if (!path.empty()) out.text("wrote " + path + "\n");
  }
  return 0;
}

}  // namespace hadal::cli
