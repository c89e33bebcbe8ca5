// cli/cmd_plan.cc: `hadal plan`
#include "hadal/cli/commands.h"
#include "hadal/cli/plan_options.h"
#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/plan_text/explain_text.h"
#include "hadal/plan_text/plan_text.h"

namespace hadal::cli {
namespace {

struct TrainingPlanOptions {
  PlanOptions plan;
  bool search = false, cells = false;
  int64_t best = 10;
  std::vector<std::string> explain;
};

void bind(Flags& flags, TrainingPlanOptions& o) {
  flags.example("hadal plan --model deepseek-v3 --cluster h800-2048 --tokens 14.8e12",
                "the published run: time, money, memory, traffic, and how far from the report");
  flags.example("hadal plan --model deepseek-v3 --cluster h200-256 --search",
                "the fastest layout that fits, and why the others do not");
  flags.example("hadal plan --explain gpu_hours_per_trillion_tokens",
                "where a number comes from, down to published, measured and assumed inputs");
  flags.example("hadal plan --set gpu_price=1.5 --set n_layers=80",
                "any number can be changed; what follows from it moves");
  bind_plan_options(flags, o.plan);
  flags.flag("search", o.search, "search PP, EP, micro-batch, recomputation and schedule");
  flags.option("best", o.best, "with --search: how many of the best to show");
  flags.option("explain", o.explain,
               "derive this number (all: every one) in place of the tables; repeatable");
  flags.flag("cells", o.cells, "every number with its origin and formula, in place of the tables");
}

// All names are looked up before anything is printed, so that a wrong one leaves stdout empty.
std::vector<std::string> names_to_explain(const std::vector<std::string>& wanted,
                                          const Worksheet& sheet) {
  std::vector<std::string> names;
  for (const std::string& name : wanted) {
    if (name == "all") {
      for (const Worksheet::Cell& cell : sheet.cells()) names.push_back(cell.name);
      continue;
    }
    try {
      names.push_back(sheet.cell(name).name);
    } catch (const ConfigError& error) {
      throw ConfigError(error.in("--explain"));
    }
  }
  return names;
}

void print_text(const TrainingPlanOptions& o, const PlanRequest& request, const Plan& plan,
                const std::vector<std::string>& names, Output& out) {
  if (!names.empty()) {
    for (size_t i = 0; i < names.size(); ++i) {
      out.text((i == 0 ? "" : "\n") + explain_text(plan.sheet, names[i]));
    }
  } else if (o.cells) {
    out.text(all_cells_text(plan.sheet));
  } else {
    if (o.search) out.text(search_text(*plan.search, request.n_best, out.option_of()) + "\n");
    out.text(plan_text(request, plan, out.option_of()));
  }
}

int run(const TrainingPlanOptions& o, const CommonOptions&, Output& out) {
  require(o.best >= 1 && o.best <= 1000,
          {.field = "--best", .problem = "out of range", .found = o.best, .expected = "1 to 1000"});
  PlanRequest request = plan_request(o.plan);
  request.search = o.search;
  request.n_best = static_cast<size_t>(o.best);
  Plan plan;
  {
    ProgressLine progress;
    plan = make_plan(request, [&](size_t n) {
      if (progress.due()) progress.show(concat("plan: ", n, " layouts simulated"));
    });
  }
  const std::vector<std::string> names = names_to_explain(o.explain, plan.sheet);
  if (out.json()) {
    Json document = plan_json(request, plan);
    if (!names.empty()) {
      Json explained = Json::object();
      for (const std::string& name : names) explained[name] = plan.sheet.explain_json(name);
      document["explain"] = std::move(explained);
    }
    out.report(document);
  } else {
    print_text(o, request, plan, names, out);
  }
  return 0;
}

}  // namespace

Command make_plan_command() {
  return define_command<TrainingPlanOptions>(
      "plan", "predict time, memory, traffic and cost of training and serving a model", bind, run);
}

}  // namespace hadal::cli
