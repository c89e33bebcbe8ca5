#include "hadal/spread/slot_exchange.h"

#include <algorithm>
#include <numeric>

namespace hadal {
namespace {

// The tensors that hold a weight's values, in a fixed order.
std::vector<const Tensor*> tensors_of(const Param& param) {
  std::vector<const Tensor*> tensors;
  if (param.master.has_data()) tensors.push_back(&param.master);
  if (const auto* plain = std::get_if<Tensor>(&param.working)) tensors.push_back(plain);
  if (const auto* codes = std::get_if<Quantized>(&param.working)) {
    tensors.push_back(&codes->codes);
    tensors.push_back(&codes->scales);
  }
  return tensors;
}

size_t slot_of(const std::vector<int32_t>& slots, int32_t expert) {
  return static_cast<size_t>(std::ranges::find(slots, expert) - slots.begin());
}

std::vector<int32_t> slots_of_rank(const std::vector<int32_t>& slots, const Communicator& group) {
  const auto n = static_cast<std::ptrdiff_t>(slots.size()) / group.n_ranks();
  const auto first = slots.begin() + group.rank() * n;
  return {first, first + n};
}

}  // namespace

std::vector<int32_t> expert_of_slots(const Moe& moe) {
  if (moe.slots) return moe.slots->expert_of;
  std::vector<int32_t> in_order(static_cast<size_t>(moe.config.n_routed_experts));
  std::iota(in_order.begin(), in_order.end(), 0);
  return in_order;
}

SlotExchange::SlotExchange(Communicator& group, Moe& moe, std::vector<int32_t> next, Arena& arena)
    : group_(group), moe_(moe), arena_(arena), next_(std::move(next)) {
  const std::vector<int32_t> all = expert_of_slots(moe);
  now_ = slots_of_rank(all, group);
  for (const ExpertMove& move : moves_between(all, next_, group.n_ranks())) {
    if (move.from == group.rank()) to_send_.push_back(move);
    if (move.to == group.rank()) ask(move);
  }
}

// In the form of an expert that is here: all of a layer have the same.
void SlotExchange::ask(const ExpertMove& move) {
  std::vector<Receipt>& receipts = coming_[move.expert];
  for (const GroupedLinear* matrix : matrices()) {
    for (const Tensor* like : tensors_of(matrix->weights.front())) {
      receipts.push_back(
          group_.receive(move.from, kTag, MessageForm{like->dtype(), like->shape()}, arena_));
    }
  }
}

// A message is its receiver's own: the copy here is still in use.
void SlotExchange::send(const ExpertMove& move) {
  const size_t slot = slot_of(now_, move.expert);
  for (const GroupedLinear* matrix : matrices()) {
    for (const Tensor* tensor : tensors_of(matrix->weights[slot])) {
      bytes_sent_ += tensor->bytes();
      group_.send(move.to, kTag, tensor->to_host().clone(arena_));
    }
  }
}

void SlotExchange::send_some(int64_t bytes) {
  const int64_t enough = bytes_sent_ + bytes;
  while (!to_send_.empty() && bytes_sent_ < enough) {
    send(to_send_.front());
    to_send_.pop_front();
  }
}

bool SlotExchange::complete() {
  if (!to_send_.empty()) return false;
  for (auto& [expert, receipts] : coming_) {
    for (Receipt& receipt : receipts) {
      if (!receipt.arrived()) return false;
    }
  }
  return true;
}

void SlotExchange::finish() {
  while (!to_send_.empty()) {
    send(to_send_.front());
    to_send_.pop_front();
  }
  for (auto& [expert, receipts] : coming_) {
    auto next = receipts.begin();
    std::array<Param, 3>& values = came_[expert];
    for (size_t i = 0; i < values.size(); ++i) {
      const Param& like = matrices()[i]->weights.front();
      values[i] = like.share_values();
      if (like.master.has_data()) values[i].master = (next++)->wait().placed_in(arena_);
      if (auto* plain = std::get_if<Tensor>(&values[i].working)) {
        *plain = (next++)->wait().placed_in(arena_);
      } else if (auto* codes = std::get_if<Quantized>(&values[i].working)) {
        codes->codes = (next++)->wait().placed_in(arena_);
        codes->scales = (next++)->wait().placed_in(arena_);
      }
    }
  }
  coming_.clear();
}

Param SlotExchange::values_of(size_t matrix, int32_t expert) {
  const auto found = came_.find(expert);
  if (found != came_.end()) return found->second[matrix].share_values();
  return matrices()[matrix]->weights[slot_of(now_, expert)].share_values();
}

void SlotExchange::take_slots() {
  finish();
  const std::vector<int32_t> mine = slots_of_rank(next_, group_);
  for (size_t i = 0; i < matrices().size(); ++i) {
    std::vector<Param> weights;
    for (const int32_t expert : mine) weights.push_back(values_of(i, expert));
    matrices()[i]->weights = std::move(weights);
  }
  const auto n = std::ssize(mine);
  moe_.slots = ExpertSlots::of(next_, moe_.config.n_routed_experts,
                               {group_.rank() * n, (group_.rank() + 1) * n});
  came_.clear();
}

}  // namespace hadal
