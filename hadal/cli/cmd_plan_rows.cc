// cli/cmd_plan_rows.cc: `hadal plan rows`
#include "hadal/cli/commands.h"
#include "hadal/plan_text/rows_text.h"

namespace hadal::cli {
namespace {

struct RowsOptions {};

void bind(Flags& flags, RowsOptions&) {
  flags.example("hadal plan rows",
                "throughput that others publish for DeepSeek-V3 beside what a plan predicts");
}

int run(const RowsOptions&, const CommonOptions&, Output& out) {
  std::vector<RowPrediction> predictions;
  for (const ThroughputRow& row : throughput_rows()) predictions.push_back(predict_row(row));
  if (out.json()) {
    out.report(rows_json(predictions));
  } else {
    out.text(rows_text(predictions));
  }
  return 0;
}

}  // namespace

Command make_plan_rows_command() {
  return define_command<RowsOptions>(
      "plan rows", "published training throughput beside what a plan predicts, with the error",
      bind, run);
}

}  // namespace hadal::cli
