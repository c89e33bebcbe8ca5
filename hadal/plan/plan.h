// plan/plan.h: one plan: training and serving of a model on a cluster in one sheet, with its layout
// settled, what limits it and what is wrong with it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hadal/plan/layout_search.h"
#include "hadal/plan/training_plan.h"

namespace hadal {

struct PlanRequest {
  std::string model_name;  // for people
  ModelConfig config;
  Cluster cluster;
  std::optional<double> tokens;
  std::string layout;  // as parse_layout reads it; empty: the recipe's, or searched if it is unfit
  std::string layout_given_as = "layout";  // what the plan calls the source of such a layout
  bool search = false;
  size_t n_best = 10;                                // of a search
  std::vector<std::pair<std::string, double>> sets;  // --set
  std::string deployment = "production";             // serving
};

struct Plan {
  Worksheet sheet;
  Layout layout;
  std::string layout_source;  // "DeepSeek-V3 report, section 3.2", layout_given_as, "searched"
  std::optional<LayoutSearch> search;
  // For people; settings in braces, as in a Complaint.
  std::vector<std::string> notes;     // what was decided or left out
  std::vector<std::string> limits;    // what the step time and the memory consist of
  std::vector<std::string> warnings;  // what will not work as planned
};

// ConfigError for a layout that is given and not legal, and when no layout is legal and fits.
Plan make_plan(
    const PlanRequest& request, const std::function<void(size_t)>& progress = [](size_t) {});

// The document of `hadal plan --json`: the fields of its contract, then every cell.
Json plan_json(const PlanRequest& request, const Plan& plan);

}  // namespace hadal
