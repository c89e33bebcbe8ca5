#include "hadal/ops/expert_slots.h"

#include <cmath>

#include "hadal/core/error.h"

namespace hadal {

ExpertSlots ExpertSlots::of(std::vector<int32_t> expert_of, int64_t n_experts, ExpertRange here) {
  ExpertSlots slots;
  slots.expert_of = std::move(expert_of);
  slots.here = here;
  slots.slots_of.resize(static_cast<size_t>(n_experts));
  for (int64_t slot = 0; slot < slots.n_slots(); ++slot) {
    const int32_t expert = slots.expert_of[static_cast<size_t>(slot)];
    if (expert < 0 || expert >= n_experts) {
      throw ShapeError(
          concat("expert slots: slot ", slot, " holds expert ", expert, " of ", n_experts));
    }
    slots.slots_of[static_cast<size_t>(expert)].push_back(static_cast<int32_t>(slot));
  }
  slots.shares.resize(slots.expert_of.size());
  for (size_t expert = 0; expert < slots.slots_of.size(); ++expert) {
    const std::vector<int32_t>& own = slots.slots_of[expert];
    if (own.empty()) throw ShapeError(concat("expert slots: expert ", expert, " has none"));
    for (const int32_t slot : own) {
      slots.shares[static_cast<size_t>(slot)] = 1.0 / static_cast<double>(own.size());
    }
  }
  return slots;
}

void choose_slots(View<int32_t, 2> slots, View<const int32_t, 2> indices, const ExpertSlots& of,
                  int64_t turn) {
  const std::vector<int64_t> load = expert_load(indices, std::ssize(of.slots_of));
  constexpr double kGolden = 0.6180339887498949;
  // Token i of c stands at (i + border) / c of the expert's slots laid end to end, each as long as its share.
  struct Border {
    double at = 0.0, end = 0.0;  // in tokens; end of the current slot
    size_t slot = 0;
  };
  std::vector<Border> next(load.size());
  for (size_t e = 0; e < load.size(); ++e) {
    const double whole = kGolden * static_cast<double>(turn + static_cast<int64_t>(e));
    next[e].at = whole - std::floor(whole);
    next[e].end =
        of.shares[static_cast<size_t>(of.slots_of[e].front())] * static_cast<double>(load[e]);
  }
  for (int64_t t = 0; t < indices.dim(0); ++t) {
    for (int64_t k = 0; k < indices.dim(1); ++k) {
      const auto e = static_cast<size_t>(indices(t, k));
      const std::vector<int32_t>& own = of.slots_of[e];
      Border& border = next[e];
      while (border.at >= border.end && border.slot + 1 < own.size()) {
        border.end +=
            of.shares[static_cast<size_t>(own[++border.slot])] * static_cast<double>(load[e]);
      }
      slots(t, k) = own[border.slot];
      border.at += 1.0;
    }
  }
}

}  // namespace hadal
