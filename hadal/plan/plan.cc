#include "hadal/plan/plan.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/plan/serving.h"

namespace hadal {
namespace {

constexpr const char* kLayoutCells[] = {
    "pp", "ep", "micro_batch_sequences", "schedule", "recompute", "uses_fp8", "interleaved_stages"};

bool sets_layout(const PlanRequest& request) {
  return std::any_of(request.sets.begin(), request.sets.end(), [](const auto& set) {
    return std::find(std::begin(kLayoutCells), std::end(kLayoutCells), set.first) !=
           std::end(kLayoutCells);
  });
}

TrainingPlan training_plan_of(const PlanRequest& request) {
  TrainingPlan plan;
  plan.config = request.config;
  plan.cluster = request.cluster;
  plan.recipe = recipe_for(request.config);
  plan.recipe.layout.fp8 = plan.recipe.layout.fp8 && request.cluster.gpu.fp8_flops > 0;
  if (!request.layout.empty()) {
    plan.recipe.layout = parse_layout(request.layout, plan.recipe.layout);
    plan.layout_source = request.layout_given_as;
  }
  return plan;
}

Worksheet make_sheet(const PlanRequest& request, const TrainingPlan& plan,
                     std::vector<std::string>* notes) {
  Worksheet sheet = make_training_sheet(plan);
  *notes = add_serving(sheet, request.config, find_serving_deployment(request.deployment));
  if (request.tokens) sheet.set("tokens", *request.tokens);
  for (const auto& [name, value] : request.sets) {
    try {
      const Worksheet::Cell& cell = sheet.cell(name);
      // Counts, times, sizes, rates and shares: no input of a plan is below zero.
      require(value >= 0 || !cell.formula.empty() || !cell.inputs.empty(),
              {.field = name, .problem = "negative", .found = value, .expected = "0 or more"});
      sheet.set(name, value);
    } catch (const ConfigError& error) {
      throw ConfigError(error.in("{set}"));
    }
  }
  return sheet;
}

// Empty: legal and fits.
Refusal unfit(const Worksheet& sheet) {
  const Refusal problem = layout_problem(layout_of(sheet), layout_facts(sheet));
  return problem.empty() ? memory_problem(sheet) : problem;
}

Refusal nothing_fits(const LayoutSearch& search) {
  // Nearest to fitting: the one that lacks the least memory, or else whatever came first.
  const RejectedLayout* nearest = nullptr;
  size_t by_memory = 0;
  for (const RejectedLayout& each : search.rejected) {
    by_memory += each.memory_over > 0 ? 1 : 0;
    if (!nearest || (each.memory_over > 0 &&
                     (nearest->memory_over == 0 || each.memory_over < nearest->memory_over))) {
      nearest = &each;
    }
  }
  const std::string example = nearest ? concat("; nearest: ", layout_text(nearest->layout), ", ",
                                               nearest->why.line(in_braces))
                                      : "";
  // Not `found`: the example may name settings.
  return Complaint{.field = "cluster",
                   .problem = {"no layout of this model fits (found ", search.rejected.size(),
                               " that fail, ", by_memory, " of them by memory", example, ")"},
                   .advice = by_memory > 0 ? "use more GPUs or more memory per GPU"
                                           : "change what that reason names"};
}

std::string share_text(double share) { return human_quantity(share, "fraction"); }

void add_limits(Plan& plan) {
  const Worksheet& s = plan.sheet;
  const double step = s.value("step_seconds");
  const double exposed = s.value("exposed_all_to_all_seconds");
  const auto part = [&](const char* cell) { return share_text(s.value(cell) / step); };
  plan.limits.push_back(concat("step of ", human_quantity(step, "s"), ": busy ",
                               part("busy_seconds"), " (of it ", share_text(exposed / step),
                               " waiting for all-to-all), pipeline bubble ", part("bubble_seconds"),
                               ", stalls ", part("stall_seconds"), ", optimizer ",
                               part("optimizer_seconds")));
  const double compute = s.value("pair_compute_seconds"), travel = s.value("chunk_all_to_all");
  if (travel > 0) {
    plan.limits.push_back(
        concat("a micro-batch on a stage: ", human_quantity(compute, "s"), " of computation, ",
               human_quantity(travel, "s"), " of all-to-all",
               s.value("overlaps") > 0 ? "" : "; this schedule overlaps nothing"));
  }
  plan.limits.push_back(concat("memory: ", human_quantity(s.value("memory_per_gpu"), "B"), " of ",
                               human_quantity(s.value("gpu_memory"), "B"), " (",
                               share_text(s.value("memory_per_gpu") / s.value("gpu_memory")), ")"));
}

void add_warnings(Plan& plan) {
  const Worksheet& s = plan.sheet;
  if (s.value("d_expert") < 512 || s.value("d_model") < 1024) {
    plan.warnings.push_back(
        "times are too short: kernels are assumed as efficient as on DeepSeek-V3's matrices, and "
        "these are far smaller");
  }
  if (const Refusal problem = memory_problem(s); !problem.empty()) {
    plan.warnings.push_back(
        concat("does not fit: ", problem.line(in_braces), "; ", memory_advice(s)));
  }
  if (s.value("chunk_all_to_all") > s.value("pair_compute_seconds") && s.value("overlaps") > 0) {
    plan.warnings.push_back(
        "all-to-all takes longer than the computation that should hide it: the network decides");
  }
  if (s.value("bubble_share") > 0.2) {
    plan.warnings.push_back(concat("the pipeline idles ", share_text(s.value("bubble_share")),
                                   " of its time: fewer stages or more micro-batches per replica "
                                   "(",
                                   s.value("micro_batches"), " now) would help"));
  }
}

}  // namespace

Plan make_plan(const PlanRequest& request, const std::function<void(size_t)>& progress) {
  TrainingPlan training = training_plan_of(request);
  Plan plan;
  plan.sheet = make_sheet(request, training, &plan.notes);
  const bool given = !request.layout.empty() || sets_layout(request);
  const Refusal problem = layout_problem(layout_of(plan.sheet), layout_facts(plan.sheet));
  if (given && !request.search && !problem.empty()) throw ConfigError(problem);
  if (request.search || (!given && !unfit(plan.sheet).empty())) {
    plan.search = search_layouts(plan.sheet, request.n_best, progress);
    if (plan.search->fitting.empty()) throw ConfigError(nothing_fits(*plan.search));
    if (!request.search) {
      plan.notes.push_back(
          concat("the layout was searched, since the model's own does not suit "
                 "this cluster (",
                 unfit(plan.sheet).line(in_braces), ")"));
    }
    training.recipe.layout = plan.search->fitting.front().layout;
    training.layout_origin = Origin::kSimulated;
    training.layout_source = "the fastest that fits";
    PlanRequest settled = request;  // the search decides the layout, not --set
    std::erase_if(settled.sets, [](const auto& set) {
      return std::find(std::begin(kLayoutCells), std::end(kLayoutCells), set.first) !=
             std::end(kLayoutCells);
    });
    std::vector<std::string> same_notes;
    plan.sheet = make_sheet(settled, training, &same_notes);
  }
  plan.layout = layout_of(plan.sheet);
  plan.layout_source =
      training.layout_source.empty() ? training.recipe.source : training.layout_source;
  add_limits(plan);
  add_warnings(plan);
  return plan;
}

}  // namespace hadal
