// spread/slot_exchange.h: the experts of one layer on their way to the ranks whose slots will hold them.
// Passes go on meanwhile, with the slots that there were: what moves is a copy, and all ranks take the new
// slots at one boundary between passes.
//
//   SlotExchange exchange(group, moe, next, arena);          // receives are asked for
//   at every boundary     exchange.send_some(bytes);         // returns at once
//   once all ranks say    exchange.complete()                exchange.take_slots();
#pragma once

#include <deque>
#include <map>

#include "hadal/comm/communicator.h"
#include "hadal/nn/moe.h"
#include "hadal/schedule/placement_moves.h"

namespace hadal {

// The expert on every slot of a layer now: of a layer without slots, every expert once in order.
std::vector<int32_t> expert_of_slots(const Moe& moe);

class SlotExchange {
 public:
  // All ranks of the group together, with the same `next` [S]; a group of its own, so that its messages
  // meet no others. The layer outlives the exchange. REQUIRES that every rank's experts are stored in the
  // same forms, and that the ranks divide the slots.
  SlotExchange(Communicator& group, Moe& moe, std::vector<int32_t> next, Arena& arena);

  // Sends what other ranks want of this one, an expert at a time, until so many bytes have left.
  void send_some(int64_t bytes);
  // All is sent, and all has come.
  bool complete();
  // Waits until it is complete.
  void finish();
  // From the next pass on. REQUIRES complete() on all ranks.
  void take_slots();

  int64_t bytes_sent() const { return bytes_sent_; }

 private:
  static constexpr int64_t kTag = 0;
  std::array<GroupedLinear*, 3> matrices() const {
    return {&moe_.w_gate, &moe_.w_up, &moe_.w_down};
  }
  void send(const ExpertMove& move);
  void ask(const ExpertMove& move);
  Param values_of(size_t matrix, int32_t expert);

  Communicator& group_;
  Moe& moe_;
  Arena& arena_;
  std::vector<int32_t> now_, next_;
  std::deque<ExpertMove> to_send_;
  std::map<int32_t, std::vector<Receipt>> coming_;  // by expert: the tensors of its matrices
  std::map<int32_t, std::array<Param, 3>> came_;
  int64_t bytes_sent_ = 0;
};

}  // namespace hadal
