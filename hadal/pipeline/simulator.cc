// Dataflow in place of a clock: every rank runs ahead until an input is missing and is woken by the
// rank that makes it. Each action is looked at once or twice, so the work is linear in the actions,
// and the result does not depend on the order in which ranks get their turn.
#include "hadal/pipeline/simulator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "hadal/core/error.h"

namespace hadal {
namespace {

constexpr double kNotYet = -1.0;
constexpr size_t kActivation = 0, kGradient = 1;

void require_time(double value, const char* what) {
  require(std::isfinite(value) && value >= 0, {.field = what,
                                               .problem = "not a time",
                                               .found = value,
                                               .expected = "a finite number, 0 or more",
                                               .advice = "correct it"});
}

void check_times(const PipelineSchedule& schedule, const PipelineTimes& times) {
  require(times.stages.size() == 1 || std::cmp_equal(times.stages.size(), schedule.n_stages),
          {.field = "stage times",
           .problem = "wrong number",
           .found = times.stages.size(),
           .expected = {"1 or ", schedule.n_stages},
           .advice = "give one for all stages or one per stage"});
  const auto n_links = std::max(schedule.n_ranks - 1, 1);
  require(times.bandwidth.size() == 1 || std::cmp_equal(times.bandwidth.size(), n_links),
          {.field = "bandwidth",
           .problem = "wrong number",
           .found = times.bandwidth.size(),
           .expected = {"1 or ", n_links},
           .advice = "give one for all or one per pair of neighbouring ranks"});
  for (const StageTimes& stage : times.stages) {
    require_time(stage.forward, "forward");
    require_time(stage.backward_input, "backward input");
    require_time(stage.weight, "weight");
  }
  require_time(times.pair_share, "share of a pair");
  require_time(times.pair.value_or(0), "overlapped pair");
  require_time(times.latency, "latency");
  require_time(times.bytes, "bytes");
  for (const double bandwidth : times.bandwidth) require_time(bandwidth, "bandwidth");
}

// One direction between two ranks.
struct Link {
  double busy = 0;     // time that the bytes of one tensor occupy it
  double free_at = 0;  // the last tensor's bytes are through
};

class Links {
 public:
  Links(const PipelineTimes& times, int32_t n_ranks)
      : times_(times), near_(2 * static_cast<size_t>(n_ranks)) {
    for (int32_t rank = 0; rank < n_ranks; ++rank) {
      if (rank + 1 < n_ranks) near_[2 * static_cast<size_t>(rank)].busy = busy(rank, rank + 1);
      if (rank > 0) near_[2 * static_cast<size_t>(rank) + 1].busy = busy(rank, rank - 1);
    }
  }

  // When a tensor that is ready at `ready` arrives.
  double send(int32_t from, int32_t to, double ready) {
    Link& link = find(from, to);
    const double start = std::max(ready, link.free_at);
    link.free_at = start + link.busy;
    return link.free_at + times_.latency;
  }

 private:
  Link& find(int32_t from, int32_t to) {
    if (to == from + 1) return near_[2 * static_cast<size_t>(from)];
    if (to == from - 1) return near_[2 * static_cast<size_t>(from) + 1];
    const auto [found, is_new] = far_.try_emplace({from, to});
    if (is_new) found->second.busy = busy(from, to);
    return found->second;
  }
  double busy(int32_t from, int32_t to) const {
    if (times_.bytes == 0) return 0;
    if (times_.bandwidth.size() == 1) return busy_on(times_.bandwidth[0]);
    double slowest = 0;
    for (int32_t hop = std::min(from, to); hop < std::max(from, to); ++hop) {
      slowest = std::max(slowest, busy_on(times_.bandwidth[static_cast<size_t>(hop)]));
    }
    return slowest;
  }
  double busy_on(double bandwidth) const { return bandwidth > 0 ? times_.bytes / bandwidth : 0; }

  const PipelineTimes& times_;
  std::vector<Link> near_;  // [2 rank]: to rank + 1; [2 rank + 1]: to rank - 1
  std::map<std::pair<int32_t, int32_t>, Link> far_;
};

class Simulator {
 public:
  Simulator(const PipelineSchedule& schedule, const PipelineTimes& times, Timeline timeline);
  Simulation run();

 private:
  // Whom a rank blames for its next wait: `rank` was ready at `until`, the rest is the transfer.
  struct Blame {
    int32_t rank = -1;
    double until = 0;
  };
  struct Rank {
    size_t next = 0;        // action
    double free_at = 0;     // end of the last computation
    double clock = 0;       // free_at, or the end of the last batch of blocking transfers
    bool parked = false;    // waits for somebody's tensor or post
    bool started = false;   // has computed
    int64_t unmatched = 0;  // blocking: transfers of its batch that the other side has not posted
    Blame blame;
    int64_t stored = 0, queued = 0;  // chunks
    size_t next_box = 0;             // place in the timeline
  };

  size_t index(Chunk chunk) const {
    return static_cast<size_t>(chunk.stage) * n_micro_batches_ +
           static_cast<size_t>(chunk.micro_batch);
  }
  const StageTimes& stage_times(int32_t stage) const {
    return times_.stages[times_.stages.size() == 1 ? 0 : static_cast<size_t>(stage)];
  }
  double duration(const Action& action) const;

  void advance(int32_t rank);
  bool compute(int32_t rank, const Action& action);  // false: an input is missing
  bool await(size_t payload, Chunk producer, double& start, Blame& blame) const;
  void publish(int32_t rank, size_t payload, Chunk producer, int32_t consumer_stage, double end);
  void count_chunks(int32_t rank, const Action& action);
  void account_idle(int32_t rank, double start);
  void post_batch(int32_t rank);
  void join(Rank& state, int32_t other, double other_posted, double arrival);
  void wake(int32_t rank);
  void finish();

  const PipelineSchedule& schedule_;
  const PipelineTimes& times_;
  const bool keep_timeline_;
  const size_t n_micro_batches_;
  Links links_;
  std::vector<Rank> ranks_;
  std::vector<int32_t> awake_;
  // By payload and producing chunk.
  std::array<std::vector<double>, 2> made_, arrives_, posted_;
  std::vector<int32_t> home_;  // rank that computes a chunk
  Simulation result_;
};

Simulator::Simulator(const PipelineSchedule& schedule, const PipelineTimes& times,
                     Timeline timeline)
    : schedule_(schedule),
      times_(times),
      keep_timeline_(timeline == Timeline::kKeep),
      n_micro_batches_(static_cast<size_t>(schedule.n_micro_batches)),
      links_(times, schedule.n_ranks),
      ranks_(schedule.ranks.size()) {
  const size_t n_chunks = static_cast<size_t>(schedule.n_stages) * n_micro_batches_;
  for (auto* tensors : {&made_, &arrives_}) {
    for (auto& payload : *tensors) payload.assign(n_chunks, kNotYet);
  }
  if (times.blocking) {
    for (auto& payload : posted_) payload.assign(n_chunks, kNotYet);
  }
  home_.assign(n_chunks, -1);
  size_t n_boxes = 0;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    ranks_[rank].next_box = n_boxes;
    for (const Action& action : schedule.ranks[rank]) {
      if (!action.is_transfer()) ++n_boxes;
      if (action.goes_forward()) home_[index(action.chunk)] = static_cast<int32_t>(rank);
      if (action.goes_backward())
        home_[index(action.backward_chunk())] = static_cast<int32_t>(rank);
    }
  }
  result_.ranks.resize(ranks_.size());
  if (keep_timeline_) result_.timeline.resize(n_boxes);
}

double Simulator::duration(const Action& action) const {
  const StageTimes& stage = stage_times(action.chunk.stage);
  switch (action.kind) {
    case ActionKind::kForward:
      return stage.forward;
    case ActionKind::kBackward:
      return stage.backward();
    case ActionKind::kBackwardInput:
      return stage.backward_input;
    case ActionKind::kWeight:
      return stage.weight;
    case ActionKind::kForwardBackward: {
      const double apart = stage.forward + stage_times(action.backward.stage).backward();
      return times_.pair.value_or(times_.pair_share * apart);
    }
    case ActionKind::kSend:
    case ActionKind::kReceive:
      break;
  }
  return 0;
}

// Moves `start` to the arrival of a tensor and blames its maker; false when it is not there yet.
bool Simulator::await(size_t payload, Chunk producer, double& start, Blame& blame) const {
  const size_t chunk = index(producer);
  const double arrival = arrives_[payload][chunk];
  if (arrival == kNotYet) return false;
  if (arrival > start) {
    start = arrival;
    blame = {home_[chunk], made_[payload][chunk]};
  }
  return true;
}

bool Simulator::compute(int32_t rank, const Action& action) {
  Rank& state = ranks_[static_cast<size_t>(rank)];
  const Chunk forward = action.chunk, backward = action.backward_chunk();
  double start = state.clock;
  if (action.goes_forward() && forward.stage > 0 &&
      !await(kActivation, {forward.stage - 1, forward.micro_batch}, start, state.blame)) {
    return false;
  }
  if (action.goes_backward() && backward.stage + 1 < schedule_.n_stages &&
      !await(kGradient, {backward.stage + 1, backward.micro_batch}, start, state.blame)) {
    return false;
  }
  const double busy = duration(action), end = start + busy;
  account_idle(rank, start);
  count_chunks(rank, action);
  result_.ranks[static_cast<size_t>(rank)].busy += busy;
  if (keep_timeline_) result_.timeline[state.next_box++] = {rank, action, start, end};
  state.free_at = state.clock = end;
  if (action.goes_forward()) publish(rank, kActivation, forward, forward.stage + 1, end);
  if (action.goes_backward()) publish(rank, kGradient, backward, backward.stage - 1, end);
  return true;
}

void Simulator::publish(int32_t rank, size_t payload, Chunk producer, int32_t consumer_stage,
                        double end) {
  if (consumer_stage < 0 || consumer_stage >= schedule_.n_stages) return;
  const size_t chunk = index(producer);
  const int32_t consumer = home_[index({consumer_stage, producer.micro_batch})];
  made_[payload][chunk] = end;
  if (consumer == rank) {
    arrives_[payload][chunk] = end;
  } else if (!times_.blocking && consumer >= 0) {
    arrives_[payload][chunk] = links_.send(rank, consumer, end);
    wake(consumer);
  }
}

void Simulator::count_chunks(int32_t rank, const Action& action) {
  Rank& state = ranks_[static_cast<size_t>(rank)];
  RankTimes& times = result_.ranks[static_cast<size_t>(rank)];
  // In a pair the forward's activations are there before the backward's are gone.
  if (action.goes_forward())
    times.peak_activations = std::max(times.peak_activations, ++state.stored);
  if (action.goes_backward()) --state.stored;
  if (action.kind == ActionKind::kBackwardInput) {
    times.peak_weight_queue = std::max(times.peak_weight_queue, ++state.queued);
  }
  if (action.kind == ActionKind::kWeight) --state.queued;
}

void Simulator::account_idle(int32_t rank, double start) {
  Rank& state = ranks_[static_cast<size_t>(rank)];
  RankTimes& times = result_.ranks[static_cast<size_t>(rank)];
  const double idle = start - state.free_at;
  if (!std::exchange(state.started, true)) {
    times.warm_up = idle;
  } else if (idle > 0) {
    const double late = std::clamp(state.blame.until - state.free_at, 0.0, idle);
    if (late > 0) times.waiting_for[state.blame.rank] += late;
    times.transfer += idle - late;
    times.waiting += idle;
  }
  state.blame = {};
}

// Blocking transfers: posts the batch that begins at the rank's next action and completes those
// transfers that the other side has posted already.
void Simulator::post_batch(int32_t rank) {
  Rank& state = ranks_[static_cast<size_t>(rank)];
  const std::vector<Action>& actions = schedule_.ranks[static_cast<size_t>(rank)];
  const double now = state.clock;
  const size_t first = state.next;
  while (state.next < actions.size() && actions[state.next].is_transfer()) ++state.next;
  state.unmatched = static_cast<int64_t>(state.next - first);
  for (size_t i = first; i < state.next; ++i) {
    const Action& action = actions[i];
    const size_t payload = action.payload == Payload::kActivation ? kActivation : kGradient;
    double& posted = posted_[payload][index(action.chunk)];
    if (posted == kNotYet) {
      posted = now;
      continue;
    }
    const bool sends = action.kind == ActionKind::kSend;
    const int32_t from = sends ? rank : action.peer, to = sends ? action.peer : rank;
    const double arrival = links_.send(from, to, std::max(posted, now));
    arrives_[payload][index(action.chunk)] = arrival;
    join(state, action.peer, posted, arrival);
    join(ranks_[static_cast<size_t>(action.peer)], rank, now, arrival);
    if (ranks_[static_cast<size_t>(action.peer)].unmatched == 0) wake(action.peer);
  }
}

// One transfer of a rank's batch has got its time; the batch ends with its last transfer, and the
// side that posted last is to blame.
void Simulator::join(Rank& state, int32_t other, double other_posted, double arrival) {
  --state.unmatched;
  state.clock = std::max(state.clock, arrival);
  if (other_posted > state.blame.until) state.blame = {other, other_posted};
}

void Simulator::wake(int32_t rank) {
  if (std::exchange(ranks_[static_cast<size_t>(rank)].parked, false)) awake_.push_back(rank);
}

void Simulator::advance(int32_t rank) {
  Rank& state = ranks_[static_cast<size_t>(rank)];
  const std::vector<Action>& actions = schedule_.ranks[static_cast<size_t>(rank)];
  while (state.unmatched == 0 && state.next < actions.size()) {
    const Action& action = actions[state.next];
    if (!action.is_transfer()) {
      if (!compute(rank, action)) break;
      ++state.next;
    } else if (times_.blocking) {
      post_batch(rank);
    } else {
      ++state.next;
    }
  }
  state.parked = state.next < actions.size() || state.unmatched > 0;
}

void Simulator::finish() {
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (ranks_[rank].parked) {
      throw Error(concat("pipeline schedule ", schedule_.name, ": rank ", rank,
                         " waits for ever (found at its action ", ranks_[rank].next,
                         "); check the schedule before simulating it"));
    }
    result_.makespan = std::max(result_.makespan, ranks_[rank].free_at);
  }
  require(std::isfinite(result_.makespan), {.field = "stage times",
                                            .problem = "the whole step overflows",
                                            .found = "an infinite makespan",
                                            .advice = "use a larger unit"});
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    RankTimes& times = result_.ranks[rank];
    times.cool_down = result_.makespan - ranks_[rank].free_at;
    times.bubble = times.warm_up + times.waiting + times.cool_down;
  }
}

Simulation Simulator::run() {
  for (size_t rank = ranks_.size(); rank-- > 0;) awake_.push_back(static_cast<int32_t>(rank));
  while (!awake_.empty()) {
    const int32_t rank = awake_.back();
    awake_.pop_back();
    advance(rank);
  }
  finish();
  return std::move(result_);
}

}  // namespace

double Simulation::idle_share() const {
  double idle = 0;
  for (const RankTimes& rank : ranks) idle += rank.bubble;
  const double all = makespan * static_cast<double>(ranks.size());
  return all > 0 ? idle / all : 0;
}

Simulation simulate(const PipelineSchedule& schedule, const PipelineTimes& times,
                    Timeline timeline) {
  check_times(schedule, times);
  return Simulator(schedule, times, timeline).run();
}

}  // namespace hadal
