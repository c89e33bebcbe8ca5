#include "hadal/schedule/schedule_check.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_check_tables.h"
#include "hadal/schedule/schedule_deadlock.h"

namespace hadal {
namespace {

bool extents_are_right(CheckTables& t) {
  const PipelineSchedule& s = t.schedule;
  const size_t n_ranks = s.ranks.size();
  if (n_ranks < 1 || n_ranks > size_t{kMaxRanks} || s.n_ranks != static_cast<int32_t>(n_ranks) ||
      s.held.size() != n_ranks) {
    t.violation("the schedule says ", s.n_ranks, " ranks, but has ", n_ranks,
                " lists of actions and ", s.held.size(), " of held stages (1 to ", kMaxRanks,
                " ranks are possible)");
  }
  if (s.n_stages < 1 || s.n_micro_batches < 1 ||
      int64_t{s.n_stages} * s.n_micro_batches > kMaxChunks) {
    t.violation(s.n_stages, " stages x ", s.n_micro_batches, " micro-batches: 1 x 1 to at most ",
                kMaxChunks, " chunks are possible");
  }
  return t.result.ok();
}

bool names_are_in_range(CheckTables& t) {
  const PipelineSchedule& s = t.schedule;
  for (size_t rank = 0; rank < s.ranks.size(); ++rank) {
    std::vector<int32_t> held = s.held[rank];
    std::sort(held.begin(), held.end());
    if (!held.empty() && (held.front() < 0 || held.back() >= s.n_stages)) {
      t.violation("rank ", rank, " holds stage ", held.front() < 0 ? held.front() : held.back(),
                  ", which does not exist; there are ", s.n_stages, ", counted from 0");
    }
    if (std::adjacent_find(held.begin(), held.end()) != held.end()) {
      t.violation("rank ", rank, " holds a stage twice");
    }
    for (size_t i = 0; i < s.ranks[rank].size(); ++i) {
      const Action& action = s.ranks[rank][i];
      const bool pair = action.kind == ActionKind::kForwardBackward;
      if (!t.exists(action.chunk) || (pair && !t.exists(action.backward))) {
        t.violation("rank ", rank, ", action ", i, " (", to_text(action), "): no such chunk; ",
                    s.n_stages, " stages and ", s.n_micro_batches,
                    " micro-batches are counted from 0");
      } else if (action.is_transfer() && (action.peer < 0 || action.peer >= s.n_ranks)) {
        t.violation("rank ", rank, ", action ", i, " (", to_text(action), "): no such rank; ",
                    s.n_ranks, " are counted from 0");
      }
    }
  }
  return t.result.ok();
}

void report_missing(CheckTables& t, Chunk chunk) {
  ChunkProgress& c = t.at(chunk);
  if (!c.forward) t.violation("no rank computes F ", chunk.stage, " ", chunk.micro_batch);
  if (!c.backward) {
    t.violation("no rank computes B or Bi ", chunk.stage, " ", chunk.micro_batch);
  }
  for (const Payload payload : {Payload::kActivation, Payload::kGradient}) {
    const int32_t maker = c.rank(payload);
    const int32_t user = t.maker(payload, consumer_of(payload, chunk));
    if (maker < 0 || user < 0 || maker == user) continue;
    if (!c.travel(payload).sent) {
      t.violation("rank ", maker, " never sends ", describe(payload, chunk), " to rank ", user);
    }
    if (!c.travel(payload).received) {
      t.violation("rank ", user, " never receives ", describe(payload, chunk), " from rank ",
                  maker);
    }
  }
}

// On each ordered pair of ranks the n-th send must be the n-th receive.
void compare_orders(CheckTables& t) {
  std::vector<int32_t> n(t.schedule.ranks.size());  // transfers so far between this rank and each
  const auto clear = [&](const std::vector<Action>& list) {
    for (const Action& action : list) {
      if (action.is_transfer()) n[static_cast<size_t>(action.peer)] = 0;
    }
  };
  for (const auto& list : t.schedule.ranks) {
    for (const Action& action : list) {
      if (action.kind != ActionKind::kSend) continue;
      t.at(action.chunk).travel(action.payload).order = n[static_cast<size_t>(action.peer)]++;
    }
    clear(list);
  }
  for (size_t rank = 0; rank < t.schedule.ranks.size(); ++rank) {
    const auto& list = t.schedule.ranks[rank];
    for (size_t i = 0; i < list.size(); ++i) {
      const Action& action = list[i];
      if (action.kind != ActionKind::kReceive) continue;
      const int32_t expected = n[static_cast<size_t>(action.peer)]++;
      const int32_t order = t.at(action.chunk).travel(action.payload).order;
      if (order != expected) {
        t.violation("rank ", rank, ", action ", i, " (", to_text(action), "): receive number ",
                    expected, " from rank ", action.peer, ", which sends this as number ", order,
                    " to rank ", rank);
      }
    }
    clear(list);
  }
}

void check_bound(CheckTables& t, int64_t max_activations) {
  for (size_t rank = 0; rank < t.result.ranks.size(); ++rank) {
    const int64_t peak = t.result.ranks[rank].peak_activations;
    if (peak > max_activations) {
      t.violation("rank ", rank, " stores the activations of ", peak,
                  " chunks at once; the bound is ", max_activations);
    }
  }
}

}  // namespace

void find_computing_ranks(CheckTables& t) {
  t.chunks.resize(static_cast<size_t>(t.schedule.n_stages) *
                  static_cast<size_t>(t.schedule.n_micro_batches));
  const auto claim = [](int16_t& owner, size_t rank) {
    if (owner < 0) owner = static_cast<int16_t>(rank);
  };
  for (size_t rank = 0; rank < t.schedule.ranks.size(); ++rank) {
    for (const Action& action : t.schedule.ranks[rank]) {
      switch (action.kind) {
        case ActionKind::kForward:
          claim(t.at(action.chunk).forward_rank, rank);
          break;
        case ActionKind::kForwardBackward:
          claim(t.at(action.chunk).forward_rank, rank);
          claim(t.at(action.backward).backward_rank, rank);
          break;
        case ActionKind::kBackward:
        case ActionKind::kBackwardInput:
          claim(t.at(action.chunk).backward_rank, rank);
          break;
        case ActionKind::kWeight:
        case ActionKind::kSend:
        case ActionKind::kReceive:
          break;
      }
    }
  }
}

int64_t activation_bound(ScheduleKind kind, int32_t n_stages, int32_t stages_per_rank) {
  if (kind == ScheduleKind::kInterleaved) return int64_t{n_stages} + n_stages / stages_per_rank;
  const bool paired = kind == ScheduleKind::kDualPipe || kind == ScheduleKind::kDualPipeV;
  return int64_t{n_stages} + (paired ? 1 : 0);
}

ScheduleCheck check_schedule(const PipelineSchedule& schedule,
                             std::optional<int64_t> max_activations) {
  CheckTables t{schedule};
  if (!extents_are_right(t) || !names_are_in_range(t)) return std::move(t.result);
  t.result.ranks.resize(schedule.ranks.size());
  find_computing_ranks(t);
  for (int32_t rank = 0; rank < schedule.n_ranks; ++rank) check_rank(t, rank);
  for (int32_t stage = 0; stage < schedule.n_stages; ++stage) {
    for (int32_t m = 0; m < schedule.n_micro_batches; ++m) report_missing(t, {stage, m});
  }
  if (t.result.ok()) compare_orders(t);
  if (t.result.ok()) {
    for (const Transfers transfers : {Transfers::kAsynchronous, Transfers::kBlocking}) {
      const std::optional<std::string> deadlock = find_deadlock(schedule, transfers);
      if (!deadlock) continue;
      t.violation(*deadlock);
      t.result.deadlock = transfers;
      break;  // what stands still with asynchronous transfers does so with blocking ones
    }
  }
  if (max_activations) check_bound(t, *max_activations);
  return std::move(t.result);
}

}  // namespace hadal
