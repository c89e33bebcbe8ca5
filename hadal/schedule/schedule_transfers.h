// schedule/schedule_transfers.h: completes a schedule that lists computations only.
#pragma once

#include "hadal/schedule/schedule.h"

namespace hadal {

// Replaces all sends and receives by those that the computations need. A send stands right after
// the computation that makes the tensor; a receive right before the one that uses it, or earlier
// where the same sender's later tensor is used first (a pair of ranks keeps one order). So between
// two computations stands one batch: what the first made, then what the second needs.
//
// Where that would deadlock with blocking transfers (flows in both directions), a receive stands
// where the rank is when the tensor is made, if F, B_in and W take 1 and every rank computes as soon as
// it can. All ranks then keep one common order of all events, in which the earliest unfinished one can
// always go on. So only computations that wait for each other in a circle remain in a deadlock, and
// at such times a blocking rank waits for little more than its inputs.
//
// place_transfers_by_clock does the second at once.
//
// A computation that is missing or done twice adds no transfer; check_schedule tells. REQUIRES
// stages, micro-batches and ranks in range.
void insert_transfers(PipelineSchedule& schedule);
void place_transfers_by_clock(PipelineSchedule& schedule);

}  // namespace hadal
