// schedule/schedule.h: a pipeline schedule is a value, one list of actions per rank.
//
// Three readers share it: the executor runs it, pipeline/simulator times and draws it, and
// schedule/schedule_check proves it. No device, no tensor, no clock. docs/schedules.md.
//
// The model is cut into stages 0 .. n_stages-1 (embedding first). A chunk is one micro-batch's work
// on one stage, so a dependency never names a rank or a direction:
//   F (s, m)     needs F(s-1, m)
//   B_in (s, m)  needs B_in(s+1, m); at the last stage its own F (the loss)
//   W (s, m)     needs B_in(s, m); W steps consume the rank's queue first in, first out
// A full backward B is B_in and W at once. F&B is the forward of one chunk and the full backward of
// another, executed interleaved. DualPipe sends micro-batches m < M/2 in direction 0 (rank 0 to
// P-1) and the others in direction 1 (rank P-1 to 0).
//
// Sends and receives stand where they are posted. Those next to each other form one batch: all are
// posted before any is waited for, and a rank under blocking transfers goes on when the whole batch
// has finished. Neighbouring stages on the same rank exchange nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

struct Chunk {
  int32_t stage = 0;
  int32_t micro_batch = 0;
  bool operator==(const Chunk&) const = default;
};

enum class ActionKind : uint8_t {
  kForward,          // F
  kBackward,         // B: gradient of the input and of the weights
  kBackwardInput,    // B_in: its weight part joins the rank's queue
  kWeight,           // W: takes the front of that queue
  kForwardBackward,  // F&B: forward of `chunk` overlapped with the full backward of `backward`
  kSend,
  kReceive,
};

enum class Payload : uint8_t { kActivation, kGradient };

struct Action {
  ActionKind kind = ActionKind::kForward;
  Payload payload = Payload::kActivation;  // sends and receives
  int16_t peer = -1;                       // sends and receives: the other rank
  Chunk chunk = {};  // what is computed; of a transfer the chunk that produced the tensor, so that
                     // a send and its receive differ in kind and peer only
  Chunk backward = {};  // F&B: the chunk that goes backward
  bool operator==(const Action&) const = default;
  bool is_transfer() const { return kind == ActionKind::kSend || kind == ActionKind::kReceive; }
  bool is_pair() const { return kind == ActionKind::kForwardBackward; }
  bool goes_forward() const { return kind == ActionKind::kForward || is_pair(); }
  bool goes_backward() const {
    return kind == ActionKind::kBackward || kind == ActionKind::kBackwardInput || is_pair();
  }
  Chunk backward_chunk() const { return is_pair() ? backward : chunk; }
};

enum class ScheduleKind : uint8_t { k1F1B, kZb1p, kDualPipe, kDualPipeV, kInterleaved, kZbv };

struct PipelineSchedule {
  std::string name;  // "dualpipe", or the name a user's file gives
  int32_t n_ranks = 0;
  int32_t n_stages = 0;
  int32_t n_micro_batches = 0;             // all directions together
  std::vector<std::vector<int32_t>> held;  // [n_ranks] stages whose parameters a rank holds, in the
                                           // order of its modules (DualPipe: r, then P-1-r)
  std::vector<std::vector<Action>> ranks;  // [n_ranks]
};

// How often the parameters of the whole model are stored across the pipeline (DualPipe: 2).
double parameter_copies(const PipelineSchedule& schedule);

// "1f1b", "zb1p", "dualpipe", "dualpipev", "interleaved", "zbv"; ConfigError with the nearest name.
ScheduleKind parse_schedule_kind(const std::string& name);
const std::vector<std::string>& schedule_names();
// Stages of a rank, `stages_per_rank` below, are a choice under interleaved alone; the other schedules
// have their own number and do not look at it.
constexpr int32_t kInterleavedStages = 2;  // without another word

// Ranks that n_stages stages occupy (DualPipeV and ZBV: half as many). ConfigError, naming n_stages,
// n_micro_batches or stages_per_rank, where the schedule does not exist:
//   1f1b, zb1p   any n_stages >= 1, any n_micro_batches >= 1 (also fewer than stages)
//   dualpipe     n_stages even; n_micro_batches even and >= 2 n_stages
//   dualpipev    n_stages even; n_micro_batches >= n_stages
//   interleaved  stages_per_rank >= 1 divides n_stages; any n_micro_batches >= 1
//   zbv          n_stages even; any n_micro_batches >= 1
// and where n_stages * ordered_micro_batches exceeds kMaxChunks or the ranks do not fit Action::peer.
int32_t ranks_of(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                 int32_t stages_per_rank = kInterleavedStages);
// Stages of each rank that one micro-batch passes: n_stages / ranks. 1; dualpipev and zbv 2; of
// interleaved stages_per_rank.
int32_t stages_passed(ScheduleKind kind, int32_t stages_per_rank = kInterleavedStages);
// The micro-batches whose order is used: interleaved rounds up to a multiple of the ranks, zbv to
// 2 n_ranks - 1; what does not exist is left out of the order.
int64_t ordered_micro_batches(ScheduleKind kind, int64_t n_ranks, int64_t n_micro_batches);
int64_t least_micro_batches(ScheduleKind kind, int64_t n_stages);  // of those above
// Every rank holds a stage and its mirror image, so n_stages is even: dualpipe, dualpipev, zbv.
bool mirrors_stages(ScheduleKind kind);
// F&B stands in its lists: dualpipe, dualpipev, interleaved.
bool pairs_chunks(ScheduleKind kind);
// Stages whose parameters a rank holds, in the order of its modules. REQUIRES sizes that ranks_of
// accepts.
std::vector<int32_t> held_stages(ScheduleKind kind, int32_t n_stages, int32_t rank,
                                 int32_t stages_per_rank = kInterleavedStages);
constexpr int64_t kMaxChunks = 10'000'000;  // at most 1.4 GB of actions; 64 x 4096 is 0.26 million
constexpr int32_t kMaxRanks = 32'767;

// The rank that computes a chunk, forward and backward. REQUIRES sizes that ranks_of accepts.
int32_t home_rank(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches, Chunk chunk,
                  int32_t stages_per_rank = kInterleavedStages);

PipelineSchedule make_schedule(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                               int32_t stages_per_rank = kInterleavedStages);

// The pure functions behind make_schedule, one file each: the actions of one rank.
std::vector<Action> schedule_1f1b(int32_t n_stages, int32_t n_micro_batches, int32_t rank);
std::vector<Action> schedule_zb1p(int32_t n_stages, int32_t n_micro_batches, int32_t rank);
std::vector<Action> schedule_dualpipe(int32_t n_stages, int32_t n_micro_batches, int32_t rank);
std::vector<Action> schedule_dualpipev(int32_t n_stages, int32_t n_micro_batches, int32_t rank);
// Computations alone: make_schedule adds the transfers of all ranks together
// (schedule_transfers.h).
std::vector<Action> interleaved_order(int32_t n_stages, int32_t n_micro_batches, int32_t rank,
                                      int32_t stages_per_rank);
std::vector<Action> zbv_order(int32_t n_stages, int32_t n_micro_batches, int32_t rank);

}  // namespace hadal
