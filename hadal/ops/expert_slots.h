// ops/expert_slots.h: copies of experts. A router chooses experts; a slot holds one copy of one, and a busy
// expert may have several slots (docs/expert_placement.md). Slots are numbered place by place.
//
// N experts, S >= N slots, T tokens with K choices each.
#pragma once

#include <vector>

#include "hadal/ops/permute.h"

namespace hadal {

struct ExpertSlots {
  std::vector<int32_t> expert_of;              // [S]
  std::vector<std::vector<int32_t>> slots_of;  // [N] ascending
  std::vector<double> shares;  // [S] part of its expert's tokens; those of an expert sum to 1
  ExpertRange here;            // the slots that live at this place

  // Equal shares. ShapeError: an expert without a slot, or a slot without an expert of the n_experts.
  static ExpertSlots of(std::vector<int32_t> expert_of, int64_t n_experts, ExpertRange here);
  int64_t n_slots() const { return static_cast<int64_t>(expert_of.size()); }
};

// What a place has of a layer's experts: a range of them, or a range of slots.
struct HeldExperts {
  ExpertRange range;
  const ExpertSlots* slots = nullptr;  // none: a slot is an expert
  ExpertRange here() const { return slots != nullptr ? slots->here : range; }
};

// slots[t,k] = a slot of the expert indices[t,k]. Of an expert's c tokens here, each of its slots gets its
// share of c to within one. `turn` moves the borders: places that have one token each, and passes one after
// another, do not all meet at the first slot.
void choose_slots(View<int32_t, 2> slots, View<const int32_t, 2> indices, const ExpertSlots& of,
                  int64_t turn);

}  // namespace hadal
