// cli/plan_outputs.h: how sweeps and scaling studies leave the program: text or JSON on stdout, a
// CSV file and a picture where asked for.
#pragma once

#include <string>
#include <vector>

#include "hadal/command/command.h"
#include "hadal/plan/sweep.h"

namespace hadal::cli {

struct TableFiles {
  std::string csv, svg;
};
void bind_table_files(Flags& flags, TableFiles& files);

// "a,b" and "c" -> a b c. ConfigError for nothing between two commas.
std::vector<std::string> split_names(const std::string& option,
                                     const std::vector<std::string>& given);

// `remarks` (a layout, say) stand at the end of their rows; empty: none. Returns the exit code.
int print_table(const SweepTable& table, const LineChart& chart,
                const std::vector<std::string>& remarks, const TableFiles& files, Output& out);

}  // namespace hadal::cli
