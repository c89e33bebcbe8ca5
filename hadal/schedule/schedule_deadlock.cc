#include "hadal/schedule/schedule_deadlock.h"

#include <vector>

#include "hadal/core/error.h"
#include "hadal/schedule/action_text.h"

namespace hadal {
namespace {

// Runs all lists side by side without a clock: each rank goes on until it must wait, and is looked
// at again when what it waits for happens. Every action is visited once, so time is linear.
class Execution {
 public:
  Execution(const PipelineSchedule& schedule, Transfers transfers);
  std::optional<std::string> run();

 private:
  // A tensor that travels: one per chunk and payload.
  struct Tensor {
    int16_t sender = -1;                  // -1: it does not travel
    bool sent = false, received = false;  // posted on that side
  };
  Tensor& tensor(Payload payload, Chunk chunk) {
    const int64_t at = int64_t{chunk.stage} * schedule_.n_micro_batches + chunk.micro_batch;
    return tensors_[static_cast<size_t>(2 * at + (payload == Payload::kGradient))];
  }
  struct Rank {
    size_t next = 0;         // action to do
    size_t batch_begin = 0;  // blocking: the batch [batch_begin, next) is under way
    int64_t unfinished = 0;  // blocking: transfers of that batch that wait for their other side
  };
  const std::vector<Action>& actions(size_t rank) const { return schedule_.ranks[rank]; }

  void advance_asynchronous(size_t rank);
  void advance_blocking(size_t rank);
  void post_batch(size_t rank);
  const Tensor* missing_input(const Action& action);
  const Tensor* missing(Payload payload, int32_t stage, int32_t micro_batch);
  struct Wait {
    size_t action, for_rank;
  };
  Wait wait_of(size_t rank);
  std::string circle_from(size_t rank);

  const PipelineSchedule& schedule_;
  Transfers transfers_;
  std::vector<Tensor> tensors_;
  std::vector<Rank> ranks_;
  std::vector<size_t> ready_;  // ranks that may go on
};

Execution::Execution(const PipelineSchedule& schedule, Transfers transfers)
    : schedule_(schedule),
      transfers_(transfers),
      tensors_(2 * static_cast<size_t>(schedule.n_stages) *
               static_cast<size_t>(schedule.n_micro_batches)),
      ranks_(schedule.ranks.size()) {
  for (const auto& list : schedule.ranks) {
    for (const Action& action : list) {
      if (action.kind == ActionKind::kReceive) {
        tensor(action.payload, action.chunk).sender = action.peer;
      }
    }
  }
  for (size_t rank = 0; rank < ranks_.size(); ++rank) ready_.push_back(rank);
}

std::optional<std::string> Execution::run() {
  while (!ready_.empty()) {
    const size_t rank = ready_.back();
    ready_.pop_back();
    transfers_ == Transfers::kBlocking ? advance_blocking(rank) : advance_asynchronous(rank);
  }
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    const bool waits = ranks_[rank].next < actions(rank).size() || ranks_[rank].unfinished > 0;
    if (waits) return circle_from(rank);
  }
  return std::nullopt;
}

void Execution::advance_asynchronous(size_t rank) {
  for (size_t& next = ranks_[rank].next; next < actions(rank).size(); ++next) {
    const Action& action = actions(rank)[next];
    if (action.kind == ActionKind::kSend) {
      tensor(action.payload, action.chunk).sent = true;
      ready_.push_back(static_cast<size_t>(action.peer));
    } else if (!action.is_transfer() && missing_input(action) != nullptr) {
      return;
    }
  }
}

void Execution::advance_blocking(size_t rank) {
  while (ranks_[rank].unfinished == 0 && ranks_[rank].next < actions(rank).size()) {
    if (actions(rank)[ranks_[rank].next].is_transfer()) {
      post_batch(rank);
    } else {
      ++ranks_[rank].next;
    }
  }
}

void Execution::post_batch(size_t rank) {
  Rank& r = ranks_[rank];
  const auto& list = actions(rank);
  for (r.batch_begin = r.next; r.next < list.size() && list[r.next].is_transfer(); ++r.next) {
    const Action& action = list[r.next];
    const bool sends = action.kind == ActionKind::kSend;
    Tensor& t = tensor(action.payload, action.chunk);
    (sends ? t.sent : t.received) = true;
    if (!(sends ? t.received : t.sent)) {
      ++r.unfinished;
    } else if (--ranks_[static_cast<size_t>(action.peer)].unfinished == 0) {
      ready_.push_back(static_cast<size_t>(action.peer));
    }
  }
}

const Execution::Tensor* Execution::missing(Payload payload, int32_t stage, int32_t micro_batch) {
  if (stage < 0 || stage >= schedule_.n_stages) return nullptr;
  const Tensor& t = tensor(payload, {stage, micro_batch});
  return t.sender >= 0 && !t.sent ? &t : nullptr;
}

const Execution::Tensor* Execution::missing_input(const Action& action) {
  const bool pair = action.kind == ActionKind::kForwardBackward;
  if (action.kind == ActionKind::kForward || pair) {
    const Tensor* t =
        missing(Payload::kActivation, action.chunk.stage - 1, action.chunk.micro_batch);
    if (t != nullptr || !pair) return t;
  }
  if (action.kind == ActionKind::kWeight) return nullptr;
  const Chunk& chunk = pair ? action.backward : action.chunk;
  return missing(Payload::kGradient, chunk.stage + 1, chunk.micro_batch);
}

Execution::Wait Execution::wait_of(size_t rank) {
  const Rank& r = ranks_[rank];
  if (transfers_ == Transfers::kAsynchronous) {
    return {r.next, static_cast<size_t>(missing_input(actions(rank)[r.next])->sender)};
  }
  for (size_t i = r.batch_begin;; ++i) {  // unfinished > 0: one of them has no other side yet
    const Action& action = actions(rank)[i];
    const Tensor& t = tensor(action.payload, action.chunk);
    if (!t.sent || !t.received) return {i, static_cast<size_t>(action.peer)};
  }
}

// Every waiting rank waits for a waiting rank (the other side of each transfer exists), so
// following them from anywhere ends in a circle.
std::string Execution::circle_from(size_t rank) {
  std::vector<bool> seen(ranks_.size());
  for (; !seen[rank]; rank = wait_of(rank).for_rank) seen[rank] = true;
  constexpr int kShown = 6;
  std::string text = transfers_ == Transfers::kBlocking
                         ? "deadlock when transfers block until both sides have posted them: "
                         : "deadlock even with asynchronous transfers: ";
  size_t at = rank;
  int n = 0;
  do {
    const Wait wait = wait_of(at);
    if (n < kShown) {
      text += concat(n == 0 ? "" : ", ", "rank ", at, " at action ", wait.action, " (",
                     to_text(actions(at)[wait.action]), ") waits for rank ", wait.for_rank);
    }
    ++n;
    at = wait.for_rank;
  } while (at != rank);
  if (n > kShown) text += concat(", and so on through ", n, " ranks back to rank ", rank);
  return text;
}

}  // namespace

std::optional<std::string> find_deadlock(const PipelineSchedule& schedule, Transfers transfers) {
  return Execution(schedule, transfers).run();
}

}  // namespace hadal
