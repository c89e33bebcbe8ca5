#include "hadal/cli/print_report.h"

namespace hadal::cli {

int print_report(const MeasureReport& report, Output& out) {
  if (out.json()) {
    out.report(report_json(report));
  } else {
    out.text(report_table(report));
  }
  return 0;
}

}  // namespace hadal::cli
