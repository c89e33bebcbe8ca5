// cli/cmd_plan_sweep.cc: `hadal plan sweep`
#include "hadal/cli/commands.h"
#include "hadal/cli/plan_options.h"
#include "hadal/cli/plan_outputs.h"
#include "hadal/cli/sweep_axis.h"
#include "hadal/core/error.h"
#include "hadal/core/log.h"

namespace hadal::cli {
namespace {

struct SweepOptions {
  PlanOptions plan;
  std::vector<std::string> vary, show;
  TableFiles files;
};

void bind(Flags& flags, SweepOptions& o) {
  flags.library_names({{"cells", "--cells"}});  // of hadal plan
  flags.example("hadal plan sweep --vary gpu_price=1:4:7 --show cost_usd --svg price.svg",
                "what a run costs at seven prices of a GPU-hour, as a table and a picture");
  flags.example(
      "hadal plan sweep --vary decode_context=1024:131072:x2 --vary cache_bytes_per_value=1,2 "
      "--show decode_tokens_per_s_per_gpu,decode_max_batch",
      "serving speed by context, for an FP8 and a BF16 cache");
  bind_plan_options(flags, o.plan);
  flags.option("vary", o.vary,
               "NAME=1,2,4 or NAME=FROM:TO:COUNT or NAME=FROM:TO:x2; once or twice "
               "(`hadal plan --cells` lists the names)");
  flags.option("show", o.show, "cells to show, with commas between; repeatable");
  bind_table_files(flags, o.files);
}

Refusal judge_layout(const Worksheet& sheet) {
  return layout_problem(layout_of(sheet), layout_facts(sheet));
}

int run(const SweepOptions& o, const CommonOptions&, Output& out) {
  std::vector<SweepAxis> axes;
  for (const std::string& text : o.vary) axes.push_back(parse_sweep_axis(text, "--vary"));
  const std::vector<std::string> shown = split_names("--show", o.show);
  const PlanRequest request = plan_request(o.plan);
  Plan plan = make_plan(request);
  const SweepTable table = sweep(plan.sheet, axes, shown, judge_layout);
  const LineChart chart =
      sweep_chart(table, concat(request.model_name, " on ", request.cluster.name,
                                shown.size() == 1 ? ": " + shown.front() : ""));
  return print_table(table, chart, {}, o.files, out);
}

}  // namespace

Command make_plan_sweep_command() {
  return define_command<SweepOptions>(
      "plan sweep", "vary one or two numbers of a plan into a table and a chart", bind, run);
}

}  // namespace hadal::cli
