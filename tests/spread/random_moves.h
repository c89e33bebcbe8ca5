// Experts that move about at random while requests run.
#pragma once

#include "hadal/spread/placement_mover.h"
#include "tests/spread/spread_case.h"

namespace hadal::test {

using Placement = std::vector<std::vector<int32_t>>;  // [layers][slots]

inline Placement random_placement(uint64_t seed, int64_t n_layers, int64_t n_experts,
                                  int64_t n_slots) {
  Placement placement;
  for (int64_t layer = 0; layer < n_layers; ++layer) {
    Rng rng(seed, static_cast<uint64_t>(layer));
    std::vector<int32_t>& slots = placement.emplace_back();
    for (int64_t slot = 0; slot < n_slots; ++slot) {
      slots.push_back(slot < n_experts ? static_cast<int32_t>(slot)
                                       : static_cast<int32_t>(
                                             rng.uniform_below(static_cast<uint64_t>(n_experts))));
    }
    for (size_t i = slots.size() - 1; i > 0; --i) {
      std::swap(slots[i], slots[rng.uniform_below(i + 1)]);
    }
  }
  return placement;
}

// Another random placement whenever the last one is reached, with any number of slots.
class RandomMoves final : public TurnWork {
 public:
  RandomMoves(PlacementMover& mover, uint64_t seed, int64_t n_experts, int n_ranks)
      : mover_(mover), seed_(seed), n_experts_(n_experts), n_ranks_(n_ranks) {}
  void took(int layer, const std::vector<int64_t>& load) override { mover_.took(layer, load); }
  bool ready() override { return mover_.ready(); }
  void before_turn(bool all_ready, bool is_pass) override {
    n_moving += mover_.moving() ? 1 : 0;
    mover_.before_turn(all_ready, is_pass);
    if (mover_.moving()) return;
    Rng rng(seed_, static_cast<uint64_t>(n_moves));
    const auto n_slots = n_experts_ + n_ranks_ * static_cast<int64_t>(rng.uniform_below(3));
    mover_.move_to(random_placement(seed_ + 100 * static_cast<uint64_t>(++n_moves),
                                    mover_.n_layers(), n_experts_, n_slots));
  }
  void finish() override { mover_.finish(); }

  int64_t n_moves = 0, n_moving = 0;  // turns

 private:
  PlacementMover& mover_;
  uint64_t seed_;
  int64_t n_experts_;
  int n_ranks_;
};

}  // namespace hadal::test
