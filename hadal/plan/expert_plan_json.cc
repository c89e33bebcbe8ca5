// plan/expert_plan_json.cc: a placement of experts as JSON.
#include <utility>

#include "hadal/plan/expert_plan.h"

namespace hadal {
namespace {

Json balance_json(const Balancedness& balance) {
  Json json = Json::object();
  json["mean"] = balance.mean;
  json["worst"] = balance.worst;
  json["per_layer"] = Json::array_of(balance.per_layer);
  json["heaviest_gpu_over_mean"] = Json::array_of(balance.heaviest_gpu);
  return json;
}

// Nested vectors as nested lists.
Json nested(int32_t value) { return Json(int64_t{value}); }
Json nested(double value) { return Json(value); }
template <class T>
Json nested(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T& value : values) list.push_back(nested(value));
  return list;
}

}  // namespace

Json expert_plan_json(const ExpertPlan& plan) {
  const PlacementShape& shape = plan.shape;
  Json json = Json::object();
  json["load"] = plan.loads.source;
  json["judged_on"] = plan.judged ? Json(plan.judged->source) : Json();
  json["layers"] = Json::array_of(plan.loads.layers);
  json["experts"] = plan.n_experts();
  json["gpus"] = shape.n_gpus;
  json["nodes"] = shape.n_nodes;
  json["groups"] = shape.n_groups;
  json["replicas"] = shape.n_replicas;
  json["redundant"] = plan.n_redundant();
  json["policy"] = plan.placement.hierarchical ? "hierarchical" : "global";
  Json balance = Json::object();
  balance["in_order"] = balance_json(plan.before);
  balance["placed_without_redundancy"] = plan.packed ? balance_json(*plan.packed) : Json();
  balance["placed"] = balance_json(plan.after);
  balance["placed_split_by_program"] = balance_json(plan.split);
  balance["placed_split_ahead"] = plan.split_ahead ? balance_json(*plan.split_ahead) : Json();
  json["balancedness"] = std::move(balance);
  json["expert_time_share"] = plan.time_share();
  json["expert_time_share_by_program"] = plan.time_share(plan.gpu_split);
  Json kept = Json::array();
  for (const int64_t layer : plan.placement.replaced) {
    kept.push_back(plan.loads.layers[static_cast<size_t>(layer)]);
  }
  json["layers_kept_without_redundancy"] = std::move(kept);
  json["phy2log"] = nested(plan.placement.expert_of_slot);
  json["log2phy"] = nested(plan.placement.slots_of_expert);
  json["logcnt"] = nested(plan.placement.replica_count);
  json["slot_shares"] = nested(plan.slot_shares);
  return json;
}

}  // namespace hadal
