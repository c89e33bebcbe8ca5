#include "hadal/plan/expert_plan.h"

#include <algorithm>
#include <utility>

#include "hadal/core/checked_math.h"
#include "hadal/core/error.h"
#include "hadal/schedule/replica_split.h"

namespace hadal {

PlacementShape placement_shape(const ExpertPlanOptions& options, int64_t n_experts) {
  PlacementShape shape;
  shape.n_groups = options.n_groups;
  shape.policy = options.policy;
  shape.as_published = options.as_published;
  shape.n_gpus = options.n_gpus.value_or(std::max<int64_t>(n_experts / 8, 1));
  shape.n_nodes = options.n_nodes.value_or(shape.n_gpus % 8 == 0 ? shape.n_gpus / 8 : 1);
  require(!options.n_replicas || !options.n_redundant, {.field = "n_redundant",
                                                        .problem = "given beside {n_replicas}",
                                                        .found = "both",
                                                        .expected = "one",
                                                        .advice = "leave one out"});
  if (options.n_replicas) {
    shape.n_replicas = *options.n_replicas;
  } else if (options.n_redundant) {
    require(*options.n_redundant >= 0, {.field = "n_redundant",
                                        .problem = "negative",
                                        .found = *options.n_redundant,
                                        .expected = "0 or more"});
    shape.n_replicas = checked_add(n_experts, *options.n_redundant).value_or(INT64_MAX);
  } else {
    // A GPU count out of range is refused with the rest of the shape.
    const int64_t multiple = std::clamp<int64_t>(shape.n_gpus, 1, INT32_MAX);
    shape.n_replicas = round_up(n_experts + n_experts / 8, multiple);
  }
  return shape;
}

double ExpertPlan::time_share(const std::vector<std::vector<double>>& of_gpus) const {
  double time_before = 0.0, time_after = 0.0;
  for (size_t layer = 0; layer < gpu_before.size(); ++layer) {
    time_before += *std::max_element(gpu_before[layer].begin(), gpu_before[layer].end());
    time_after += *std::max_element(of_gpus[layer].begin(), of_gpus[layer].end());
  }
  return time_before > 0.0 ? time_after / time_before : 1.0;
}

namespace {

// How load falls on GPUs where tokens go to copies by the program: for these loads themselves, and by the
// shares that other loads had.
void split_tokens(ExpertPlan& plan) {
  const int64_t n_gpus = plan.shape.n_gpus;
  std::vector<std::vector<double>> ahead;
  for (size_t layer = 0; layer < plan.load().size(); ++layer) {
    const std::vector<int32_t>& slots = plan.placement.expert_of_slot[layer];
    const std::vector<double>& load = plan.load()[layer];
    const MinMaxSplit split = split_by_program(load, slots, n_gpus);
    plan.gpu_split.push_back(gpu_sums(split.load_of_slot, n_gpus));
    const std::vector<double> planned =
        plan.judged ? split_by_program(plan.loads.load[layer], slots, n_gpus).load_of_slot
                    : split.load_of_slot;
    std::vector<double>& shares =
        plan.slot_shares.emplace_back(slot_shares(planned, slots, plan.n_experts()));
    std::vector<double> of_slot;
    for (size_t slot = 0; slot < slots.size(); ++slot) {
      of_slot.push_back(shares[slot] * load[static_cast<size_t>(slots[slot])]);
    }
    ahead.push_back(gpu_sums(of_slot, n_gpus));
  }
  plan.split = balancedness(plan.gpu_split);
  if (plan.judged) plan.split_ahead = balancedness(ahead);
}

void check_judged(const LayerLoads& loads, const LayerLoads& judged) {
  require(
      judged.layers == loads.layers && judged.load.front().size() == loads.load.front().size(),
      {.place = judged.source,
       .problem = "loads of other layers or experts than those to place",
       .found = {judged.load.size(), " layers of ", judged.load.front().size(), " experts"},
       .expected = {loads.load.size(), " of ", loads.load.front().size(), ", the same layers"}});
}

}  // namespace

ExpertPlan plan_experts(LayerLoads loads, const PlacementShape& shape,
                        std::optional<LayerLoads> judged) {
  ExpertPlan plan;
  plan.loads = std::move(loads);
  plan.judged = std::move(judged);
  if (plan.judged) check_judged(plan.loads, *plan.judged);
  plan.shape = shape;
  const std::vector<std::vector<double>>&planned = plan.loads.load, &load = plan.load();
  plan.placement = place_experts(planned, shape);
  const ExpertPlacement in_order =
      place_in_order(static_cast<int64_t>(load.size()), plan.n_experts(), shape.n_gpus);
  plan.gpu_before = gpu_loads(load, in_order, shape.n_gpus);
  plan.gpu_after = gpu_loads(load, plan.placement, shape.n_gpus);
  plan.before = balancedness(load, in_order, shape.n_gpus);
  plan.after = balancedness(load, plan.placement, shape.n_gpus);
  split_tokens(plan);
  if (plan.n_experts() % shape.n_gpus == 0) {
    PlacementShape without = shape;
    without.n_replicas = plan.n_experts();
    plan.packed = balancedness(load, place_experts(planned, without), shape.n_gpus);
  }
  return plan;
}

LoadMaps expert_load_maps(const ExpertPlan& plan) {
  const PlacementShape& shape = plan.shape;
  LoadMaps maps;
  maps.subtitle = concat(plan.loads.load.size(), " layers of ", plan.n_experts(), " experts, ",
                         shape.n_replicas, " replicas on ", shape.n_gpus, " GPUs, ", shape.n_nodes,
                         shape.n_nodes == 1 ? " node, " : " nodes, ",
                         plan.placement.hierarchical ? "hierarchical" : "global", " placement");
  maps.layers = plan.loads.layers;
  maps.n_gpus = shape.n_gpus;
  maps.n_nodes = shape.n_nodes;
  maps.before = {"Experts in order", plan.before.mean, plan.gpu_before, plan.before.heaviest_gpu};
  maps.after = {concat("Placed, ", plan.n_redundant(), " redundant"), plan.after.mean,
                plan.gpu_after, plan.after.heaviest_gpu};
  const std::vector<double>& each = plan.before.per_layer;
  maps.shown_layer = static_cast<size_t>(std::min_element(each.begin(), each.end()) - each.begin());
  return maps;
}

}  // namespace hadal
