#include "hadal/plan_text/expert_plan_text.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"

namespace hadal::cli {
namespace {

std::string plural(int64_t count, const std::string& word) {
  return concat(count, " ", word, count == 1 ? "" : "s");
}

size_t worst_layer(const Balancedness& balance) {
  const auto& each = balance.per_layer;
  return static_cast<size_t>(std::min_element(each.begin(), each.end()) - each.begin());
}

std::string balance_line(const ExpertPlan& plan, const char* label, const Balancedness& balance) {
  const size_t worst = worst_layer(balance);
  const double heaviest =
      std::accumulate(balance.heaviest_gpu.begin(), balance.heaviest_gpu.end(), 0.0) /
      static_cast<double>(balance.heaviest_gpu.size());
  char text[160];
  std::snprintf(text, sizeof text, "  %-34s %6.3f  %6.3f (layer %2lld)   %8.2f x mean\n", label,
                balance.mean, balance.worst, static_cast<long long>(plan.loads.layers[worst]),
                heaviest);
  return text;
}

// All layers of a small model; of a deep one those that end up worst, and the best.
std::vector<size_t> layers_shown(const ExpertPlan& plan) {
  constexpr size_t kAll = 8, kWorst = 5;
  std::vector<size_t> layers(plan.after.per_layer.size());
  std::iota(layers.begin(), layers.end(), size_t{0});
  if (layers.size() <= kAll) return layers;
  std::stable_sort(layers.begin(), layers.end(), [&](size_t a, size_t b) {
    return plan.after.per_layer[a] < plan.after.per_layer[b];
  });
  const std::vector<size_t> rest = {layers[layers.size() / 2], layers.back()};
  layers.resize(kWorst);
  layers.insert(layers.end(), rest.begin(), rest.end());
  return layers;
}

std::string layer_table(const ExpertPlan& plan) {
  const std::vector<size_t> shown = layers_shown(plan);
  std::string text =
      shown.size() == plan.loads.layers.size()
          ? "Layers\n"
          : "Layers: the five worst once placed, the median, the best (all: --json, --svg)\n";
  text += "  layer  in order  placed  heaviest GPU, x mean  most copies\n";
  for (const size_t layer : shown) {
    const std::vector<int32_t>& count = plan.placement.replica_count[layer];
    const auto most = std::max_element(count.begin(), count.end());
    char line[160];
    std::snprintf(line, sizeof line, "  %5lld  %8.3f  %6.3f  %9.2f -> %-8.2f %s\n",
                  static_cast<long long>(plan.loads.layers[layer]), plan.before.per_layer[layer],
                  plan.after.per_layer[layer], plan.before.heaviest_gpu[layer],
                  plan.after.heaviest_gpu[layer],
                  *most == 1 ? "none" : concat(*most, " of expert ", most - count.begin()).c_str());
    text += line;
  }
  return text;
}

struct Copied {
  size_t layer, expert;
  int32_t count;
  double load;  // over the layer's mean expert
};

// Experts with the most replicas, the heavier first among equals; none that has only one.
std::vector<Copied> most_replicated(const ExpertPlan& plan, size_t n_shown) {
  std::vector<Copied> copied;
  for (size_t layer = 0; layer < plan.loads.load.size(); ++layer) {
    const std::vector<double>& load = plan.load()[layer];
    const double mean =
        std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(load.size());
    for (size_t expert = 0; expert < load.size(); ++expert) {
      const int32_t count = plan.placement.replica_count[layer][expert];
      if (count > 1) copied.push_back({layer, expert, count, mean > 0 ? load[expert] / mean : 0});
    }
  }
  std::stable_sort(copied.begin(), copied.end(), [](const Copied& a, const Copied& b) {
    return a.count != b.count ? a.count > b.count : a.load > b.load;
  });
  if (copied.size() > n_shown) copied.resize(n_shown);
  return copied;
}

std::string policy_text(const ExpertPlan& plan) {
  const PlacementShape& shape = plan.shape;
  if (plan.placement.hierarchical) {
    return concat("hierarchical: ", plural(shape.n_groups, "group"), " of experts, ",
                  shape.n_groups / shape.n_nodes, " whole on each node");
  }
  return concat("global: any expert on any GPU (", plural(shape.n_groups, "group"), ", ",
                plural(shape.n_nodes, "node"), ")");
}

}  // namespace

std::string expert_plan_text(const ExpertPlan& plan) {
  const PlacementShape& shape = plan.shape;
  std::string text =
      concat(plural(static_cast<int64_t>(plan.loads.load.size()), "layer"), " of ",
             plural(plan.n_experts(), "expert"), ", load: ", plan.loads.source, "\n",
             plan.judged ? concat("judged on: ", plan.judged->source, "\n") : "",
             plural(shape.n_gpus, "GPU"), " on ", plural(shape.n_nodes, "node"), ", ",
             plural(shape.n_replicas, "replica"), " per layer: ", shape.n_replicas / shape.n_gpus,
             " per GPU, ", plan.n_redundant(), " redundant\n", policy_text(plan), "\n\n");
  text += "Balancedness: mean GPU / heaviest GPU\n";
  text += concat("  ", std::string(34, ' '), "   mean   worst              heaviest GPU\n");
  text += balance_line(plan, "experts in order", plan.before);
  if (plan.packed) text += balance_line(plan, "placed by load, no redundancy", *plan.packed);
  text +=
      balance_line(plan, concat("placed, ", plan.n_redundant(), " redundant").c_str(), plan.after);
  if (plan.n_redundant() > 0) {
    if (plan.split_ahead) {
      text += balance_line(plan, "the same, shares by program", *plan.split_ahead);
    }
    text += balance_line(plan, "the same, tokens by program", plan.split);
  }
  text += concat("  A layer waits for its heaviest GPU: its experts now take ",
                 printed("%.0f", 100 * plan.time_share()), " % of the time in order",
                 plan.n_redundant() == 0
                     ? ""
                     : concat(", ", printed("%.0f", 100 * plan.time_share(plan.gpu_split)),
                              " % with tokens among copies by the program"),
                 ".\n");
  if (!plan.placement.replaced.empty()) {
    text += concat("  In ", plural(static_cast<int64_t>(plan.placement.replaced.size()), "layer"),
                   " a placement without redundancy is better balanced, and is kept.\n");
  }
  text += "\n" + layer_table(plan);
  const std::vector<Copied> copied = most_replicated(plan, 5);
  if (copied.empty()) return text;
  text += "\nMost replicated experts\n  layer  expert  replicas  load, x mean expert\n";
  for (const Copied& expert : copied) {
    char line[120];
    std::snprintf(line, sizeof line, "  %5lld  %6zu  %8d  %19.2f\n",
                  static_cast<long long>(plan.loads.layers[expert.layer]), expert.expert,
                  static_cast<int>(expert.count), expert.load);
    text += line;
  }
  return text;
}

}  // namespace hadal::cli
