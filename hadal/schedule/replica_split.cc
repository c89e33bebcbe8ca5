#include "hadal/schedule/replica_split.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "hadal/schedule/expert_balance.h"

namespace hadal {
namespace {

using Slots = std::vector<std::vector<size_t>>;

Slots slots_by_expert(const std::vector<int32_t>& expert_of_slot, size_t n_experts) {
  Slots slots(n_experts);
  for (size_t slot = 0; slot < expert_of_slot.size(); ++slot) {
    slots[static_cast<size_t>(expert_of_slot[slot])].push_back(slot);
  }
  return slots;
}

// Load moves from a GPU to another one that has a copy of one of its experts, and on from there.
class LoadMover {
 public:
  LoadMover(const std::vector<double>& load, const std::vector<int32_t>& expert_of_slot,
            int64_t n_gpus)
      : expert_of_(expert_of_slot),
        slots_of_expert_(slots_by_expert(expert_of_slot, load.size())),
        slots_of_gpu_(static_cast<size_t>(n_gpus)),
        on_slot_(split_equally(load, expert_of_slot)),
        on_gpu_(gpu_sums(on_slot_, n_gpus)) {
    const auto n_slots = static_cast<int64_t>(expert_of_slot.size());
    for (int64_t slot = 0; slot < n_slots; ++slot) {
      gpu_of_.push_back(static_cast<size_t>(gpu_of_slot(slot, n_slots, n_gpus)));
      slots_of_gpu_[gpu_of_.back()].push_back(static_cast<size_t>(slot));
    }
  }

  MinMaxSplit run() {
    double limit =
        std::accumulate(on_gpu_.begin(), on_gpu_.end(), 0.0) / static_cast<double>(on_gpu_.size());
    constexpr double kRounding = 1.0 + 1e-12;
    for (size_t gpu = 0; gpu < on_gpu_.size(); ++gpu) {
      while (on_gpu_[gpu] > limit * kRounding) {
        if (const size_t light = reach(gpu, limit); light != kNone) {
          move(gpu, light, limit);
          continue;
        }
        // What these GPUs have can be nowhere else: none of them can have less than their mean.
        double above = 0.0;
        for (const size_t one : reached_) above += on_gpu_[one] - limit;
        const double raised = limit + above / static_cast<double>(reached_.size());
        if (!(raised > limit)) break;
        limit = raised;
      }
    }
    return {std::move(on_slot_), limit};
  }

 private:
  static constexpr size_t kNone = SIZE_MAX;
  struct Step {
    size_t from = kNone, to = kNone;  // slots of one expert
  };

  // Breadth first from a GPU to the nearest one below the limit; kNone where there is none.
  size_t reach(size_t start, double limit) {
    way_.assign(on_gpu_.size(), {});
    std::vector<bool> seen(on_gpu_.size(), false);
    seen[start] = true;
    reached_ = {start};
    for (size_t next = 0; next < reached_.size(); ++next) {
      for (const size_t from : slots_of_gpu_[reached_[next]]) {
        if (on_slot_[from] <= 0.0) continue;
        for (const size_t to : slots_of_expert_[static_cast<size_t>(expert_of_[from])]) {
          const size_t gpu = gpu_of_[to];
          if (seen[gpu]) continue;
          seen[gpu] = true;
          way_[gpu] = {from, to};
          if (on_gpu_[gpu] < limit) return gpu;
          reached_.push_back(gpu);
        }
      }
    }
    return kNone;
  }

  void move(size_t from, size_t to, double limit) {
    const double room = limit - on_gpu_[to];
    double amount = std::min(room, on_gpu_[from] - limit);
    for (size_t gpu = to; gpu != from; gpu = gpu_of_[way_[gpu].from]) {
      amount = std::min(amount, on_slot_[way_[gpu].from]);
    }
    for (size_t gpu = to; gpu != from; gpu = gpu_of_[way_[gpu].from]) {
      on_slot_[way_[gpu].from] -= amount;
      on_slot_[way_[gpu].to] += amount;
    }
    on_gpu_[from] -= amount;
    on_gpu_[to] = amount == room ? limit : on_gpu_[to] + amount;
  }

  const std::vector<int32_t>& expert_of_;
  Slots slots_of_expert_, slots_of_gpu_;
  std::vector<size_t> gpu_of_;
  std::vector<double> on_slot_, on_gpu_;
  std::vector<Step> way_;        // [G] the step that leads to each GPU
  std::vector<size_t> reached_;  // of the last search
};

}  // namespace

std::vector<double> split_equally(const std::vector<double>& load,
                                  const std::vector<int32_t>& expert_of_slot) {
  std::vector<int32_t> count(load.size(), 0);
  for (const int32_t expert : expert_of_slot) ++count[static_cast<size_t>(expert)];
  std::vector<double> split;
  for (const int32_t expert : expert_of_slot) {
    split.push_back(load[static_cast<size_t>(expert)] / count[static_cast<size_t>(expert)]);
  }
  return split;
}

MinMaxSplit split_by_program(const std::vector<double>& load,
                             const std::vector<int32_t>& expert_of_slot, int64_t n_gpus) {
  return LoadMover(load, expert_of_slot, n_gpus).run();
}

std::vector<double> slot_shares(const std::vector<double>& load_of_slot,
                                const std::vector<int32_t>& expert_of_slot, int64_t n_experts) {
  const auto n = static_cast<size_t>(n_experts);
  std::vector<double> total(n, 0.0);
  for (size_t slot = 0; slot < load_of_slot.size(); ++slot) {
    total[static_cast<size_t>(expert_of_slot[slot])] += load_of_slot[slot];
  }
  std::vector<double> shares = split_equally(std::vector<double>(n, 1.0), expert_of_slot);
  for (size_t slot = 0; slot < shares.size(); ++slot) {
    const double all = total[static_cast<size_t>(expert_of_slot[slot])];
    if (all > 0.0) shares[slot] = load_of_slot[slot] / all;
  }
  return shares;
}

}  // namespace hadal
