#include "hadal/plan/scaling.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"

namespace hadal {
namespace {

// Cells of the plan, in the order of the columns.
const std::vector<std::string> kShown = {"batch_sequences",
                                         "pp",
                                         "ep",
                                         "micro_batches",
                                         "step_seconds",
                                         "tokens_per_second",
                                         "bubble_share",
                                         "mfu",
                                         "memory_per_gpu",
                                         "days_pretraining",
                                         "gpu_hours_per_trillion_tokens"};
enum Column : size_t { kGpus = 0, kTokensPerSecond = 6, kBubble = 7, kMfu = 8, kDays = 10 };

// arXiv:2505.09343: eight planes of a two-layer fat tree of 64-port switches.
constexpr int64_t kMultiPlaneEndpoints = 16384;

Refusal problem_of(const Worksheet& sheet, int64_t gpus) {
  const Refusal memory = memory_problem(sheet);
  if (!memory.empty() || gpus <= kMultiPlaneEndpoints) return memory;
  return Complaint{.problem = {"more than the ", kMultiPlaneEndpoints,
                               " endpoints of a two-layer multi-plane network: a third layer costs "
                               "time and money that this plan does not count"}};
}

PlanRequest request_for(const ScalingRequest& scaling, int64_t gpus) {
  PlanRequest request = scaling.base;
  const int64_t per_node = request.cluster.gpu.gpus_per_node;
  require(gpus >= per_node && gpus % per_node == 0, {.field = "gpus",
                                                     .problem = "not a number of whole nodes",
                                                     .found = gpus,
                                                     .expected = {"a multiple of ", per_node}});
  request.cluster.nodes = gpus / per_node;
  request.search = request.layout.empty();
  request.n_best = 1;
  if (scaling.weak) {
    // The base cluster has the recipe's batch: as many sequences per GPU everywhere.
    const double share =
        static_cast<double>(gpus) / static_cast<double>(scaling.base.cluster.gpus());
    const TrainingRecipe recipe = recipe_for(request.config);
    const double batch = std::round(static_cast<double>(recipe.batch_sequences) * share);
    request.sets.insert(request.sets.begin(),
                        {{"batch_sequences", batch},
                         {"ramp_start_sequences",
                          std::min(batch, static_cast<double>(recipe.ramp_start_sequences))}});
  }
  return request;
}

}  // namespace

ScalingStudy study_scaling(const ScalingRequest& request,
                           const std::function<void(int64_t)>& progress) {
  require(!request.gpus.empty(),
          {.field = "gpus", .problem = "nothing to plan for", .found = "an empty list"});
  ScalingStudy study;
  SweepAxis axis{.name = "gpus", .values = {}, .geometric = true};
  study.table.columns.push_back({"gpus", ""});
  for (const int64_t gpus : request.gpus) {
    progress(gpus);
    axis.values.push_back(static_cast<double>(gpus));
    std::vector<double> row = {static_cast<double>(gpus)};
    const PlanRequest point = request_for(request, gpus);
    try {
      const Plan plan = make_plan(point);
      for (const std::string& name : kShown) row.push_back(plan.sheet.value(name));
      if (study.table.columns.size() == 1) {
        for (const std::string& name : kShown) {
          study.table.columns.push_back({name, plan.sheet.cell(name).unit});
        }
      }
      study.layouts.push_back(layout_text(plan.layout));
      study.table.problems.push_back(problem_of(plan.sheet, gpus));
    } catch (const ConfigError& error) {
      row.resize(1 + kShown.size(), kNoNumber);
      study.layouts.emplace_back("none");
      study.table.problems.push_back(error);
    }
    study.table.rows.push_back(std::move(row));
  }
  if (study.table.columns.size() == 1) throw ConfigError(study.table.problems.front());
  study.table.axes = {axis};
  return study;
}

LineChart scaling_chart(const ScalingRequest& request, const ScalingStudy& study) {
  ChartLine planned{"planned", {}, {}}, ideal{"all as fast as the best", {}, {}};
  ChartLine mfu{"MFU", {}, {}}, bubble{"bubble", {}, {}}, days{"days", {}, {}};
  double per_gpu = 0;
  for (const std::vector<double>& row : study.table.rows) {
    if (row[kTokensPerSecond] > 0) per_gpu = std::max(per_gpu, row[kTokensPerSecond] / row[kGpus]);
  }
  for (const std::vector<double>& row : study.table.rows) {
    const double gpus = row[kGpus];
    for (ChartLine* line : {&planned, &ideal, &mfu, &bubble, &days}) line->x.push_back(gpus);
    planned.y.push_back(row[kTokensPerSecond]);
    ideal.y.push_back(per_gpu * gpus);
    mfu.y.push_back(100 * row[kMfu]);
    bubble.y.push_back(100 * row[kBubble]);
    days.y.push_back(row[kDays]);
  }
  const PlanRequest& base = request.base;
  LineChart chart;
  chart.title = concat(base.model_name, ", ", request.weak ? "weak" : "strong", " scaling on ",
                       base.cluster.gpu.name);
  chart.subtitle =
      concat(request.weak ? "the batch grows with the GPUs" : "the batch of a step stays",
             base.layout.empty() ? "; the fastest layout that fits, chosen at every point"
                                 : "; one layout, only the replicas grow");
  chart.x_label = "GPUs";
  chart.x_logarithmic = true;
  chart.panels = {{"training speed (tokens/s)", true, {planned, ideal}},
                  {"share of a step (%)", false, {mfu, bubble}},
                  {"pre-training (days)", true, {days}}};
  return chart;
}

}  // namespace hadal
