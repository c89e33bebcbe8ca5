// The schedules' names, legal sizes and placement; make_schedule puts the ranks' lists together.
#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/nearest.h"
#include "hadal/schedule/schedule.h"
#include "hadal/schedule/schedule_transfers.h"

namespace hadal {
namespace {

const std::string& name_of(ScheduleKind kind) {
  return schedule_names()[static_cast<size_t>(kind)];
}

std::vector<Action> rank_actions(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                                 int32_t rank, int32_t stages_per_rank) {
  switch (kind) {
    case ScheduleKind::k1F1B:
      return schedule_1f1b(n_stages, n_micro_batches, rank);
    case ScheduleKind::kZb1p:
      return schedule_zb1p(n_stages, n_micro_batches, rank);
    case ScheduleKind::kDualPipe:
      return schedule_dualpipe(n_stages, n_micro_batches, rank);
    case ScheduleKind::kDualPipeV:
      return schedule_dualpipev(n_stages, n_micro_batches, rank);
    case ScheduleKind::kInterleaved:
      return interleaved_order(n_stages, n_micro_batches, rank, stages_per_rank);
    case ScheduleKind::kZbv:
      break;
  }
  return zbv_order(n_stages, n_micro_batches, rank);
}

}  // namespace

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {"1f1b",      "zb1p",        "dualpipe",
                                                 "dualpipev", "interleaved", "zbv"};
  return names;
}

ScheduleKind parse_schedule_kind(const std::string& name) {
  const std::vector<std::string>& names = schedule_names();
  const auto found = std::find(names.begin(), names.end(), name);
  require(found != names.end(), {.field = "schedule",
                                 .problem = "unknown schedule",
                                 .found = in_quotes(name),
                                 .expected = "1f1b, zb1p, dualpipe, dualpipev, interleaved or zbv",
                                 .advice = did_you_mean(name, names)});
  return static_cast<ScheduleKind>(found - names.begin());
}

int64_t least_micro_batches(ScheduleKind kind, int64_t n_stages) {
  return kind == ScheduleKind::kDualPipe    ? 2 * n_stages
         : kind == ScheduleKind::kDualPipeV ? n_stages
                                            : 1;
}

bool mirrors_stages(ScheduleKind kind) {
  return kind == ScheduleKind::kDualPipe || kind == ScheduleKind::kDualPipeV ||
         kind == ScheduleKind::kZbv;
}

bool pairs_chunks(ScheduleKind kind) {
  return kind == ScheduleKind::kDualPipe || kind == ScheduleKind::kDualPipeV ||
         kind == ScheduleKind::kInterleaved;
}

int32_t stages_passed(ScheduleKind kind, int32_t stages_per_rank) {
  if (kind == ScheduleKind::kInterleaved) return stages_per_rank;
  return mirrors_stages(kind) && kind != ScheduleKind::kDualPipe ? 2 : 1;
}

std::vector<int32_t> held_stages(ScheduleKind kind, int32_t n_stages, int32_t rank,
                                 int32_t stages_per_rank) {
  if (mirrors_stages(kind)) return {rank, n_stages - 1 - rank};
  std::vector<int32_t> held;
  const int32_t n_ranks = n_stages / stages_passed(kind, stages_per_rank);
  for (int32_t stage = rank; stage < n_stages; stage += n_ranks) held.push_back(stage);
  return held;
}

int64_t ordered_micro_batches(ScheduleKind kind, int64_t n_ranks, int64_t n_micro_batches) {
  if (kind == ScheduleKind::kZbv) return std::max(n_micro_batches, 2 * n_ranks - 1);
  const int64_t group = kind == ScheduleKind::kInterleaved ? n_ranks : 1;
  return (n_micro_batches - 1) / group * group + group;
}

int32_t ranks_of(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                 int32_t stages_per_rank) {
  const bool dual = kind == ScheduleKind::kDualPipe;
  require(n_stages >= 1, {.field = "n_stages",
                          .problem = "a pipeline needs a stage",
                          .found = n_stages,
                          .expected = "1 or more",
                          .advice = "give the number of parts that the model is cut into"});
  require(!mirrors_stages(kind) || n_stages % 2 == 0,
          {.field = "n_stages",
           .problem = {name_of(kind), " pairs the stages"},
           .found = n_stages,
           .expected = "an even number",
           .advice = "use one stage more or fewer, or 1f1b"});
  const bool interleaved = kind == ScheduleKind::kInterleaved;
  require(!interleaved || (stages_per_rank >= 1 && n_stages % stages_per_rank == 0),
          {.field = "stages_per_rank",
           .problem = "the stages do not divide into ranks",
           .found = {stages_per_rank, " of ", n_stages, " stages on each rank"},
           .expected = {"a divisor of ", n_stages},
           .advice = "change one of the two"});
  require(n_micro_batches >= 1, {.field = "n_micro_batches",
                                 .problem = "nothing to compute",
                                 .found = n_micro_batches,
                                 .expected = "1 or more",
                                 .advice = "give the micro-batches of one step"});
  const int32_t n_ranks = n_stages / stages_passed(kind, stages_per_rank);
  const int64_t n_ordered = ordered_micro_batches(kind, n_ranks, n_micro_batches);
  require(n_stages * n_ordered <= kMaxChunks,
          {.field = "n_micro_batches",
           .problem = "the schedule is too long",
           .found = {n_stages, " stages x ", n_ordered, " micro-batches"},
           .expected = {"at most ", kMaxChunks, " chunks"},
           .advice = "a step's timing repeats, so fewer micro-batches show the same"});
  require(!dual || n_micro_batches % 2 == 0, {.field = "n_micro_batches",
                                              .problem = "dualpipe feeds half of them at each end",
                                              .found = n_micro_batches,
                                              .expected = "an even number",
                                              .advice = "use one more or one fewer"});
  const int64_t least = least_micro_batches(kind, n_stages);
  require(n_micro_batches >= least,
          {.field = "n_micro_batches",
           .problem = {"too few to fill ", name_of(kind), " with ", n_stages, " stages"},
           .found = n_micro_batches,
           .expected = {least, " or more"},
           .advice = "use more micro-batches, fewer stages, or 1f1b"});
  require(n_ranks <= kMaxRanks, {.field = "n_stages",
                                 .problem = "too many ranks",
                                 .found = n_ranks,
                                 .expected = {"at most ", kMaxRanks},
                                 .advice = "use fewer stages"});
  return n_ranks;
}

int32_t home_rank(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches, Chunk chunk,
                  int32_t stages_per_rank) {
  const int32_t mirrored = n_stages - 1 - chunk.stage;
  if (kind == ScheduleKind::kDualPipe) {
    return chunk.micro_batch < n_micro_batches / 2 ? chunk.stage : mirrored;
  }
  if (mirrors_stages(kind)) return std::min(chunk.stage, mirrored);
  return chunk.stage % (n_stages / stages_passed(kind, stages_per_rank));
}

PipelineSchedule make_schedule(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                               int32_t stages_per_rank) {
  PipelineSchedule schedule;
  schedule.n_ranks = ranks_of(kind, n_stages, n_micro_batches, stages_per_rank);
  schedule.name = name_of(kind);
  schedule.n_stages = n_stages;
  schedule.n_micro_batches = n_micro_batches;
  for (int32_t rank = 0; rank < schedule.n_ranks; ++rank) {
    schedule.held.push_back(held_stages(kind, n_stages, rank, stages_per_rank));
    schedule.ranks.push_back(rank_actions(kind, n_stages, n_micro_batches, rank, stages_per_rank));
  }
  if (kind == ScheduleKind::kInterleaved || kind == ScheduleKind::kZbv)
    place_transfers_by_clock(schedule);
  return schedule;
}

double parameter_copies(const PipelineSchedule& schedule) {
  size_t held = 0;
  for (const auto& stages : schedule.held) held += stages.size();
  return static_cast<double>(held) / static_cast<double>(schedule.n_stages);
}

}  // namespace hadal
