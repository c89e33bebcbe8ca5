// cli/print_report.h: what a bench measured, on the terminal or as JSON.
#pragma once

#include "hadal/command/command.h"
#include "hadal/measure/measurement.h"

namespace hadal::cli {

int print_report(const MeasureReport& report, Output& out);  // 0, the exit code

}  // namespace hadal::cli
