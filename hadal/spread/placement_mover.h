// spread/placement_mover.h: experts go to where the load calls for them, while requests run.
//
// The passes' loads are summed over ranks and averaged, layer by layer. Now and then the load balancer
// (schedule/expert_placement.h) makes a placement of them; a layer for which it is worth it is moved, one
// layer at a time: its experts' copies travel beside the passes (spread/slot_exchange.h), and when all ranks
// have theirs, all take the layer's new slots before the same pass. No pass waits for an expert, and outputs
// keep their bits: they do not depend on where experts are.
#pragma once

#include <deque>
#include <optional>

#include "hadal/model/deepseek_v3.h"
#include "hadal/spread/slot_exchange.h"
#include "hadal/spread/turn_work.h"

namespace hadal {

struct PlacementOptions {
  int64_t n_slots = 0;  // a layer; 0: as many as experts. The ranks divide them
  int64_t every_passes = 256;
  double keep = 0.5;                // of the average at the next look; the rest is new
  double worth = 0.05;              // least part of its heaviest rank's load that a layer must win
  int64_t bytes_a_turn = 64 << 20;  // that a rank sends before one pass
};

class PlacementMover final : public TurnWork {
 public:
  // All ranks of the group together, which outlives it, as the model does. ConfigError for slots that cannot
  // be.
  PlacementMover(Communicator& group, DeepseekV3& model, const PlacementOptions& options,
                 Arena& arena);

  void took(int layer, const std::vector<int64_t>& load) override;
  bool ready() override;
  void before_turn(bool all_ready, bool is_pass) override;
  void finish() override;

  // Moves to these placements, [layers with experts][S], whatever the loads. All ranks at the same turn; ends
  // what was planned before.
  void move_to(std::vector<std::vector<int32_t>> next);

  struct Figures {
    int64_t n_looks = 0, n_layers_moved = 0, bytes_sent = 0;
    // Of the loads between two looks, as experts lay at the second: mean rank / heaviest rank, mean of layers.
    double balancedness_first = 0.0, balancedness_last = 0.0;
  };
  const Figures& figures() const { return figures_; }
  bool moving() const { return exchange_.has_value() || !planned_.empty(); }
  int64_t n_layers() const { return static_cast<int64_t>(layers_.size()); }

 private:
  struct Planned {
    size_t layer;
    std::vector<int32_t> next;
  };
  void look();
  void plan();
  void begin_next();
  std::vector<double> rank_loads(size_t layer, const std::vector<double>& load) const;

  Communicator& world_;
  std::unique_ptr<Communicator> group_;  // for the experts' messages
  PlacementOptions options_;
  Arena& arena_;
  int64_t n_experts_, n_groups_;
  std::vector<Moe*> layers_;       // with experts: the main model's, then MTP modules'
  std::vector<int> row_of_layer_;  // [layer in the model] its place among them; -1: none
  std::vector<std::vector<double>> seen_, average_;  // [n_layers][N]
  int64_t n_passes_ = 0;                             // since the last look
  std::deque<Planned> planned_;
  std::optional<SlotExchange> exchange_;
  size_t exchanged_layer_ = 0;
  Figures figures_;
};

}  // namespace hadal
