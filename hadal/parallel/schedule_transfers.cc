#include "hadal/parallel/schedule_transfers.h"

#include <unordered_map>

#include "hadal/parallel/schedule_check_tables.h"

namespace hadal {
namespace {

class TransferWriter {
 public:
  explicit TransferWriter(PipelineSchedule& schedule) : s_(schedule), t_{schedule} {
    find_computing_ranks(t_);
  }

  void write() {
    for (size_t rank = 0; rank < s_.ranks.size(); ++rank) add_sends(rank);
    for (size_t rank = 0; rank < s_.ranks.size(); ++rank) add_receives(rank);
  }

 private:
  // The receives that belong to one ordered pair's sends, in their order.
  struct Pair {
    std::vector<Action> receives;
    size_t n_posted = 0;
  };
  Pair& pair(int32_t sender, int32_t receiver) {
    return pairs_[int64_t{sender} * s_.n_ranks + receiver];
  }

  void add_sends(size_t rank) {
    std::vector<Action> list;
    for (const Action& action : s_.ranks[rank]) {
      if (action.is_transfer()) continue;
      list.push_back(action);
      const ActionKind kind = action.kind;
      const bool both = kind == ActionKind::kForwardBackward;
      if (kind == ActionKind::kForward || both) {
        add_send(list, Payload::kActivation, action.chunk, rank);
      }
      if (kind == ActionKind::kBackward || kind == ActionKind::kBackwardInput || both) {
        add_send(list, Payload::kGradient, both ? action.backward : action.chunk, rank);
      }
    }
    s_.ranks[rank] = std::move(list);
  }

  void add_send(std::vector<Action>& list, Payload payload, Chunk chunk, size_t rank) {
    const auto sender = static_cast<int32_t>(rank);
    const int32_t user = t_.maker(payload, consumer_of(payload, chunk));
    if (user < 0 || user == sender || t_.maker(payload, chunk) != sender) return;
    Action action = {.kind = ActionKind::kSend,
                     .payload = payload,
                     .peer = static_cast<int16_t>(user),
                     .chunk = chunk};
    list.push_back(action);
    Pair& p = pair(sender, user);
    t_.at(chunk).travel(payload).order = static_cast<int32_t>(p.receives.size());
    action.kind = ActionKind::kReceive;
    action.peer = static_cast<int16_t>(sender);
    p.receives.push_back(action);
  }

  void add_receives(size_t rank) {
    std::vector<Action> list;
    for (const Action& action : s_.ranks[rank]) {
      const ActionKind kind = action.kind;
      const bool both = kind == ActionKind::kForwardBackward;
      if (kind == ActionKind::kForward || both) {
        add_receive(list, Payload::kActivation, {action.chunk.stage - 1, action.chunk.micro_batch},
                    rank);
      }
      if (kind == ActionKind::kBackward || kind == ActionKind::kBackwardInput || both) {
        const Chunk chunk = both ? action.backward : action.chunk;
        add_receive(list, Payload::kGradient, {chunk.stage + 1, chunk.micro_batch}, rank);
      }
      list.push_back(action);
    }
    s_.ranks[rank] = std::move(list);
  }

  void add_receive(std::vector<Action>& list, Payload payload, Chunk producer, size_t rank) {
    const int32_t maker = t_.maker(payload, producer);
    if (maker < 0 || maker == static_cast<int32_t>(rank)) return;
    const int32_t order = t_.at(producer).travel(payload).order;
    Pair& p = pair(maker, static_cast<int32_t>(rank));
    while (static_cast<int64_t>(p.n_posted) <= order) list.push_back(p.receives[p.n_posted++]);
  }

  PipelineSchedule& s_;
  CheckTables t_;
  std::unordered_map<int64_t, Pair> pairs_;
};

}  // namespace

void insert_transfers(PipelineSchedule& schedule) { TransferWriter(schedule).write(); }

}  // namespace hadal
