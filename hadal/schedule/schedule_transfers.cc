#include "hadal/schedule/schedule_transfers.h"

#include <map>
#include <set>
#include <unordered_map>

#include "hadal/schedule/schedule_check_tables.h"

namespace hadal {
namespace {

struct Tensor {
  Payload payload;
  Chunk chunk;  // that makes it
};

std::vector<Tensor> made_by(const Action& action) {
  switch (action.kind) {
    case ActionKind::kForward:
      return {{Payload::kActivation, action.chunk}};
    case ActionKind::kBackward:
    case ActionKind::kBackwardInput:
      return {{Payload::kGradient, action.chunk}};
    case ActionKind::kForwardBackward:
      return {{Payload::kActivation, action.chunk}, {Payload::kGradient, action.backward}};
    case ActionKind::kWeight:
    case ActionKind::kSend:
    case ActionKind::kReceive:
      break;
  }
  return {};
}

// What a computation uses was made one stage before in its direction.
std::vector<Tensor> used_by(const Action& action) {
  std::vector<Tensor> tensors = made_by(action);
  for (Tensor& tensor : tensors) {
    tensor.chunk.stage += tensor.payload == Payload::kActivation ? -1 : 1;
  }
  return tensors;
}

class TransferWriter {
 public:
  explicit TransferWriter(const PipelineSchedule& schedule)
      : s_(schedule), t_{schedule}, lists_(schedule.ranks.size()) {
    find_computing_ranks(t_);
  }

  std::vector<std::vector<Action>> at_use();
  std::vector<std::vector<Action>> when_made();

 private:
  // The rank that uses a tensor which this rank makes; -1 if it does not travel.
  int32_t receiver(const Tensor& tensor, int32_t rank) {
    const int32_t user = t_.maker(tensor.payload, consumer_of(tensor.payload, tensor.chunk));
    const bool travels = user != rank && t_.maker(tensor.payload, tensor.chunk) == rank;
    return travels ? user : -1;
  }
  static Action transfer(ActionKind kind, const Tensor& tensor, int32_t peer) {
    return {.kind = kind,
            .payload = tensor.payload,
            .peer = static_cast<int16_t>(peer),
            .chunk = tensor.chunk};
  }
  bool can_run(const Action& action);

  const PipelineSchedule& s_;
  CheckTables t_;
  std::vector<std::vector<Action>> lists_;
};

std::vector<std::vector<Action>> TransferWriter::at_use() {
  struct Pair {  // an ordered pair of ranks: the receives, in the order of the sends
    std::vector<Action> receives;
    int32_t n_posted = 0;
  };
  std::unordered_map<int64_t, Pair> pairs;
  const auto pair = [&](int32_t from, int32_t to) -> Pair& {
    return pairs[int64_t{from} * s_.n_ranks + to];
  };
  for (int32_t rank = 0; rank < s_.n_ranks; ++rank) {
    for (const Action& action : s_.ranks[static_cast<size_t>(rank)]) {
      for (const Tensor& tensor : made_by(action)) {
        const int32_t to = receiver(tensor, rank);
        int32_t& order = t_.at(tensor.chunk).travel(tensor.payload).order;
        if (to < 0 || order >= 0) continue;
        auto& receives = pair(rank, to).receives;
        order = static_cast<int32_t>(receives.size());
        receives.push_back(transfer(ActionKind::kReceive, tensor, rank));
      }
    }
  }
  for (int32_t rank = 0; rank < s_.n_ranks; ++rank) {
    auto& list = lists_[static_cast<size_t>(rank)];
    for (const Action& action : s_.ranks[static_cast<size_t>(rank)]) {
      if (action.is_transfer()) continue;
      for (const Tensor& tensor : used_by(action)) {
        const int32_t from = t_.maker(tensor.payload, tensor.chunk);
        if (from < 0 || from == rank) continue;
        const int32_t order = t_.at(tensor.chunk).travel(tensor.payload).order;
        Pair& p = pair(from, rank);
        while (p.n_posted <= order) list.push_back(p.receives[static_cast<size_t>(p.n_posted++)]);
      }
      list.push_back(action);
      for (const Tensor& tensor : made_by(action)) {
        const int32_t to = receiver(tensor, rank);
        bool& sent = t_.at(tensor.chunk).travel(tensor.payload).sent;
        if (to >= 0 && !sent) list.push_back(transfer(ActionKind::kSend, tensor, to));
        sent = true;
      }
    }
  }
  return std::move(lists_);
}

bool TransferWriter::can_run(const Action& action) {
  for (const Tensor& tensor : used_by(action)) {
    if (t_.exists(tensor.chunk) && !t_.at(tensor.chunk).made(tensor.payload)) return false;
  }
  return true;
}

int64_t duration(const Action& action) {  // F = B_in = W = 1
  if (action.is_pair()) return 3;
  return action.kind == ActionKind::kBackward ? 2 : 1;
}

// By the clock: a rank computes as soon as it can; a transfer stands where both ranks are at the moment
// when the tensor is made, behind what they compute just then.
std::vector<std::vector<Action>> TransferWriter::when_made() {
  std::vector<size_t> next(s_.ranks.size());
  std::vector<bool> computes(s_.ranks.size());
  std::map<int64_t, std::set<int32_t>> ends;  // ranks by the end of their computation
  const auto start = [&](int32_t rank, int64_t now) {
    const auto r = static_cast<size_t>(rank);
    while (next[r] < s_.ranks[r].size() && s_.ranks[r][next[r]].is_transfer()) ++next[r];
    if (computes[r] || next[r] == s_.ranks[r].size() || !can_run(s_.ranks[r][next[r]])) return;
    lists_[r].push_back(s_.ranks[r][next[r]]);
    computes[r] = true;
    ends[now + duration(lists_[r].back())].insert(rank);
  };
  for (int32_t rank = 0; rank < s_.n_ranks; ++rank) start(rank, 0);
  while (!ends.empty()) {
    const auto [now, done] = *ends.begin();
    ends.erase(ends.begin());
    std::set<int32_t> may_start = done;
    for (const int32_t rank : done) {
      const auto r = static_cast<size_t>(rank);
      computes[r] = false;
      for (const Tensor& tensor : made_by(s_.ranks[r][next[r]++])) {
        ChunkProgress& c = t_.at(tensor.chunk);
        (tensor.payload == Payload::kActivation ? c.forward : c.backward) = true;
        const int32_t to = receiver(tensor, rank);
        if (to < 0) continue;
        lists_[r].push_back(transfer(ActionKind::kSend, tensor, to));
        lists_[static_cast<size_t>(to)].push_back(transfer(ActionKind::kReceive, tensor, rank));
        may_start.insert(to);
      }
    }
    for (const int32_t rank : may_start) start(rank, now);
  }
  return std::move(lists_);
}

}  // namespace

void insert_transfers(PipelineSchedule& schedule) {
  schedule.ranks = TransferWriter(schedule).at_use();
  if (check_schedule(schedule).deadlock == Transfers::kBlocking) {
    place_transfers_by_clock(schedule);
  }
}

void place_transfers_by_clock(PipelineSchedule& schedule) {
  schedule.ranks = TransferWriter(schedule).when_made();
}

}  // namespace hadal
