// schedule/dualpipe_steps.h: the eight steps that DualPipe and DualPipeV share (docs/schedules.md,
// "The eight steps of DualPipe"). A rank has two modules, one per phase; phase 0 is the one that
// starts first on this rank.
//
//   step  repeat          order
//   1     2(H-h-1)        F(0)
//   2     h+1             F(0), F(1)
//   3     H-h-1           B_in(1), W, F(1)
//   4     m-2H+h+1        F&B(0,1), F&B(1,0); at the turn the first pair is F(0), B(1)
//   5     H-h-1           B(1), F&B(1,0)
//   6     h+1             B(1), B(0); from its middle on they are B_in
//   7     H-h-1           W, B_in(0)
//   8     h+1             W
#pragma once

#include <array>
#include <vector>

#include "hadal/schedule/schedule_writer.h"

namespace hadal {

struct DualPipeRank {
  int32_t depth = 0;           // h: ranks between this one and the end where phase 0 starts
  int32_t half = 0;            // H: ranks from that end to the turn
  int32_t per_phase = 0;       // m: micro-batches of each phase
  std::array<Chunk, 2> first;  // by phase: its stage and its first micro-batch
};

std::vector<Action> dualpipe_steps(ScheduleWriter out, const DualPipeRank& rank);

}  // namespace hadal
