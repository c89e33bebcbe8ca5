#include "hadal/spread/placement_mover.h"

#include <algorithm>

#include "hadal/comm/collectives.h"
#include "hadal/schedule/expert_balance.h"
#include "hadal/schedule/expert_placement.h"
#include "hadal/schedule/replica_split.h"

namespace hadal {
PlacementMover::PlacementMover(Communicator& group, DeepseekV3& model,
                               const PlacementOptions& options, Arena& arena)
    : world_(group),
      group_(group.group(all_ranks(group))),
      options_(options),
      arena_(arena),
      n_experts_(model.config.router.n_routed_experts),
      n_groups_(model.config.router.n_group) {
  if (options_.n_slots == 0) options_.n_slots = n_experts_;
  require(
      options_.n_slots >= n_experts_ && options_.n_slots % group.n_ranks() == 0,
      {.field = "slots",
       .problem = "cannot be shared out evenly, with one for every expert",
       .found = {options_.n_slots, " for ", n_experts_, " experts on ", group.n_ranks(), " ranks"},
       .expected = {"a multiple of ", group.n_ranks(), ", ", n_experts_, " or more"}});
  const auto add = [&](DecoderLayer& layer) {
    row_of_layer_.push_back(layer.moe() != nullptr ? static_cast<int>(layers_.size()) : -1);
    if (layer.moe() != nullptr) layers_.push_back(layer.moe());
  };
  for (DecoderLayer& layer : model.layers) add(layer);
  for (MtpBlock& module : model.mtp) add(module.layer);
  seen_.assign(layers_.size(), std::vector<double>(static_cast<size_t>(n_experts_), 0.0));
  average_ = seen_;
}

void PlacementMover::took(int layer, const std::vector<int64_t>& load) {
  std::vector<double>& row = seen_[static_cast<size_t>(row_of_layer_[static_cast<size_t>(layer)])];
  for (size_t e = 0; e < row.size(); ++e) row[e] += static_cast<double>(load[e]);
}

bool PlacementMover::ready() { return exchange_ && exchange_->complete(); }

void PlacementMover::before_turn(bool all_ready, bool is_pass) {
  if (exchange_ && all_ready) {
    exchange_->take_slots();
    figures_.bytes_sent += exchange_->bytes_sent();
    ++figures_.n_layers_moved;
    exchange_.reset();
    begin_next();
  }
  if (exchange_) exchange_->send_some(options_.bytes_a_turn);
  if (!is_pass || ++n_passes_ < options_.every_passes || moving()) return;
  n_passes_ = 0;
  look();
  plan();
}

// The ranks' loads in one average, the same bits on all.
void PlacementMover::look() {
  std::vector<double> sums;
  for (const std::vector<double>& row : seen_) sums.insert(sums.end(), row.begin(), row.end());
  all_reduce_sum(*group_, std::span<double>(sums), arena_);
  auto sum = sums.begin();
  std::vector<std::vector<double>> of_ranks;  // of layers that had any load
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    std::vector<double>& row = average_[layer];
    std::vector<double> now(sum, sum + n_experts_);
    sum += n_experts_;
    if (std::ranges::max(now) > 0.0) of_ranks.push_back(rank_loads(layer, now));
    const double keep = figures_.n_looks == 0 ? 0.0 : options_.keep;
    for (size_t e = 0; e < row.size(); ++e) row[e] = keep * row[e] + (1.0 - keep) * now[e];
    std::ranges::fill(seen_[layer], 0.0);
  }
  ++figures_.n_looks;
  if (of_ranks.empty()) return;
  figures_.balancedness_last = balancedness(of_ranks).mean;
  if (figures_.balancedness_first == 0.0) figures_.balancedness_first = figures_.balancedness_last;
}

std::vector<double> PlacementMover::rank_loads(size_t layer,
                                               const std::vector<double>& load) const {
  return gpu_sums(split_equally(load, expert_of_slots(*layers_[layer])), world_.n_ranks());
}

void PlacementMover::plan() {
  const int64_t n_ranks = world_.n_ranks();
  const ExpertPlacement placed = place_experts(
      average_, {.n_replicas = options_.n_slots, .n_groups = n_groups_, .n_gpus = n_ranks});
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const std::vector<int32_t>& next = placed.expert_of_slot[layer];
    const double heaviest_now = std::ranges::max(rank_loads(layer, average_[layer]));
    const double heaviest_next =
        std::ranges::max(gpu_sums(split_equally(average_[layer], next), n_ranks));
    if (heaviest_next >= heaviest_now * (1.0 - options_.worth)) continue;
    planned_.push_back(
        {layer, stay_in_place(next, expert_of_slots(*layers_[layer]), n_ranks, /*n_nodes=*/1)});
  }
  begin_next();
}

void PlacementMover::begin_next() {
  if (planned_.empty()) return;
  Planned planned = std::move(planned_.front());
  planned_.pop_front();
  exchanged_layer_ = planned.layer;
  exchange_.emplace(*group_, *layers_[planned.layer], std::move(planned.next), arena_);
}

void PlacementMover::move_to(std::vector<std::vector<int32_t>> next) {
  planned_.clear();
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const std::vector<int32_t> now = exchange_ && exchanged_layer_ == layer
                                         ? std::vector<int32_t>()
                                         : expert_of_slots(*layers_[layer]);
    if (now != next[layer]) planned_.push_back({layer, std::move(next[layer])});
  }
  if (!exchange_) begin_next();
}

void PlacementMover::finish() {
  planned_.clear();
  if (exchange_) exchange_->take_slots();
  exchange_.reset();
}

}  // namespace hadal
