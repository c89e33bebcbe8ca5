// The checker against a second, simpler judge on thousands of randomly disturbed schedules. The
// judge has no tables: it executes the lists with message queues, as ranks with blocking transfers
// would, and says whether everything ended well.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>

#include "hadal/core/error.h"
#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_check.h"
#include "hadal/schedule/schedule_transfers.h"

namespace hadal {
namespace {

using Name = std::tuple<char, int32_t, int32_t>;  // 'a' or 'g' or 'w', stage, micro-batch

class Judge {
 public:
  explicit Judge(const PipelineSchedule& schedule) : s_(schedule), ranks_(schedule.ranks.size()) {}

  bool ends_well() {
    for (bool moved = true; moved && !wrong_;) {
      moved = false;
      for (size_t rank = 0; rank < ranks_.size(); ++rank) moved = step(rank) || moved;
    }
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      const Rank& r = ranks_[rank];
      if (r.next < s_.ranks[rank].size() || r.waiting > 0 || !r.queue.empty()) wrong_ = true;
    }
    const auto n_chunks =
        static_cast<size_t>(s_.n_stages) * static_cast<size_t>(s_.n_micro_batches);
    return !wrong_ && done_.size() == 3 * n_chunks;  // F, B_in and W of each
  }

 private:
  struct Rank {
    size_t next = 0;
    int waiting = 0;  // transfers of the posted batch
    std::set<Name> tensors;
    std::set<Chunk, bool (*)(Chunk, Chunk)> stored{[](Chunk a, Chunk b) {
      return std::tie(a.stage, a.micro_batch) < std::tie(b.stage, b.micro_batch);
    }};
    std::deque<Chunk> queue;
  };

  bool step(size_t rank) {
    Rank& r = ranks_[rank];
    if (r.waiting > 0 || r.next == s_.ranks[rank].size() || wrong_) return false;
    const Action& action = s_.ranks[rank][r.next];
    if (!action.is_transfer()) {
      compute(r, action);
      ++r.next;
      return true;
    }
    for (; r.next < s_.ranks[rank].size() && s_.ranks[rank][r.next].is_transfer(); ++r.next) {
      post(rank, s_.ranks[rank][r.next]);
    }
    return true;
  }

  // A pair of ranks is two queues, posted sends and posted receives; their fronts meet.
  void post(size_t rank, const Action& action) {
    const auto peer = static_cast<size_t>(action.peer);
    const bool sends = action.kind == ActionKind::kSend;
    const Name name = {action.payload == Payload::kActivation ? 'a' : 'g', action.chunk.stage,
                       action.chunk.micro_batch};
    if (sends && ranks_[rank].tensors.count(name) == 0) wrong_ = true;
    auto& [posted_sends, posted_receives] =
        pairs_[sends ? std::pair(rank, peer) : std::pair(peer, rank)];
    (sends ? posted_sends : posted_receives).push_back(name);
    ++ranks_[rank].waiting;
    if (posted_sends.empty() || posted_receives.empty()) return;
    if (posted_sends.front() != posted_receives.front()) wrong_ = true;
    ranks_[sends ? peer : rank].tensors.insert(posted_receives.front());
    posted_sends.pop_front();
    posted_receives.pop_front();
    --ranks_[rank].waiting;
    --ranks_[peer].waiting;
  }

  void compute(Rank& r, const Action& action) {
    const bool pair = action.kind == ActionKind::kForwardBackward;
    const Chunk back = pair ? action.backward : action.chunk;
    if (pair && back.stage < s_.n_stages - 1) expect_tensor(r, 'g', back.stage + 1, back);
    if (pair && r.stored.count(back) == 0) wrong_ = true;
    if (action.kind == ActionKind::kForward || pair) {
      const Chunk c = action.chunk;
      if (c.stage > 0) expect_tensor(r, 'a', c.stage - 1, c);
      r.stored.insert(c);
      finish(r, 'a', c);
    }
    if (action.kind == ActionKind::kWeight) {
      if (r.queue.empty() || !(r.queue.front() == action.chunk)) {
        wrong_ = true;
      } else {
        r.queue.pop_front();
        finish(r, 'w', action.chunk);
      }
    } else if (action.kind != ActionKind::kForward) {
      if (back.stage < s_.n_stages - 1) expect_tensor(r, 'g', back.stage + 1, back);
      if (r.stored.erase(back) == 0) wrong_ = true;
      finish(r, 'g', back);
      if (action.kind == ActionKind::kBackwardInput) {
        r.queue.push_back(back);
      } else {
        finish(r, 'w', back);
      }
    }
  }
  void expect_tensor(Rank& r, char kind, int32_t stage, Chunk of) {
    if (r.tensors.count({kind, stage, of.micro_batch}) == 0) wrong_ = true;
  }
  void finish(Rank& r, char kind, Chunk chunk) {
    r.tensors.insert({kind, chunk.stage, chunk.micro_batch});
    if (!done_.insert({kind, chunk.stage, chunk.micro_batch}).second) wrong_ = true;
  }

  const PipelineSchedule& s_;
  std::vector<Rank> ranks_;
  std::map<std::pair<size_t, size_t>, std::pair<std::deque<Name>, std::deque<Name>>> pairs_;
  std::set<Name> done_;
  bool wrong_ = false;
};

class Disturbed : public testing::TestWithParam<std::tuple<ScheduleKind, int32_t, int32_t>> {};

// Moves a few actions by a few places in their lists. Small moves often leave the schedule right,
// so both answers are frequent.
TEST_P(Disturbed, CheckerAndJudgeAgree) {
  const auto [kind, n_stages, n_micro_batches] = GetParam();
  const PipelineSchedule original = make_schedule(kind, n_stages, n_micro_batches);
  ASSERT_TRUE(Judge(original).ends_well());
  std::mt19937 random(20260101);
  int n_right = 0, n_deadlocks = 0;
  constexpr int kTrials = 1500;
  for (int trial = 0; trial < kTrials; ++trial) {
    PipelineSchedule schedule = original;
    std::string moves;
    for (auto n = 1 + random() % 3; n > 0; --n) {
      const size_t rank = random() % schedule.ranks.size();
      auto& list = schedule.ranks[rank];
      const size_t from = random() % list.size();
      const size_t to = std::min(list.size() - 1, from + 1 + random() % 4);
      moves += concat("rank ", rank, ": ", to_text(list[from]), " from ", from, " to ", to, "; ");
      if (random() % 2 == 0) {
        std::rotate(list.begin() + static_cast<std::ptrdiff_t>(from),
                    list.begin() + static_cast<std::ptrdiff_t>(from) + 1,
                    list.begin() + static_cast<std::ptrdiff_t>(to) + 1);
      } else {
        std::swap(list[from], list[to]);
      }
    }
    const ScheduleCheck check = check_schedule(schedule);
    ASSERT_EQ(check.ok(), Judge(schedule).ends_well())
        << moves << (check.ok() ? "" : check.violations.front());
    n_right += check.ok();
    n_deadlocks += !check.ok() && check.violations.front().rfind("deadlock", 0) == 0;
  }
  EXPECT_GT(n_right, kTrials / 100);
  EXPECT_LT(n_right, kTrials * 9 / 10);
  if (original.n_ranks > 2) {
    EXPECT_GT(n_deadlocks, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Schedules, Disturbed,
                         testing::Values(std::tuple(ScheduleKind::k1F1B, 4, 6),
                                         std::tuple(ScheduleKind::kZb1p, 4, 6),
                                         std::tuple(ScheduleKind::kDualPipe, 4, 8),
                                         std::tuple(ScheduleKind::kDualPipe, 2, 6),
                                         std::tuple(ScheduleKind::kDualPipeV, 6, 7),
                                         std::tuple(ScheduleKind::kInterleaved, 8, 8),
                                         std::tuple(ScheduleKind::kZbv, 6, 6)));

// Random placement, and a random order that respects the dependencies: transfers exist for which it
// is right, so they must be found, also for blocking ranks.
TEST(InsertTransfers, FindsThemForAnyPossibleOrder) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 500; ++trial) {
    PipelineSchedule s;
    s.n_ranks = 1 + static_cast<int32_t>(random() % 4);
    s.n_stages = 1 + static_cast<int32_t>(random() % 5);
    s.n_micro_batches = 1 + static_cast<int32_t>(random() % 5);
    s.ranks.resize(static_cast<size_t>(s.n_ranks));
    s.held.resize(s.ranks.size());
    for (auto& held : s.held) {
      for (int32_t stage = 0; stage < s.n_stages; ++stage) held.push_back(stage);
    }
    // Each micro-batch goes down all stages and back up; a random one advances by one step.
    std::vector<int32_t> step(static_cast<size_t>(s.n_micro_batches));
    std::vector<std::vector<uint32_t>> rank_of(step.size());
    for (auto& ranks : rank_of) {
      for (int32_t stage = 0; stage < s.n_stages; ++stage) {
        ranks.push_back(static_cast<uint32_t>(random()) % static_cast<uint32_t>(s.n_ranks));
      }
    }
    for (size_t left = step.size() * 2 * static_cast<size_t>(s.n_stages); left > 0;) {
      const size_t m = random() % step.size();
      if (step[m] == 2 * s.n_stages) continue;
      const bool forward = step[m] < s.n_stages;
      const int32_t stage = forward ? step[m] : 2 * s.n_stages - 1 - step[m];
      s.ranks[rank_of[m][static_cast<size_t>(stage)]].push_back(
          {.kind = forward ? ActionKind::kForward : ActionKind::kBackward,
           .chunk = {stage, static_cast<int32_t>(m)}});
      ++step[m];
      --left;
    }
    insert_transfers(s);
    const ScheduleCheck check = check_schedule(s);
    ASSERT_TRUE(check.ok()) << check.violations.front();
    ASSERT_TRUE(Judge(s).ends_well());
  }
}

}  // namespace
}  // namespace hadal
