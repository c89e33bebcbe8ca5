// schedule/schedule_check_tables.h: what is known of every chunk while the lists are read. Shared
// by schedule_check.cc (the whole schedule), schedule_check_rank.cc (one rank's list) and
// schedule_transfers.cc.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/schedule/schedule.h"
#include "hadal/schedule/schedule_check.h"

namespace hadal {

struct ChunkProgress {
  int16_t forward_rank = -1, backward_rank = -1;  // who computes it, from the whole schedule
  bool forward = false, backward = false;         // computed, in what was read so far
  bool queued = false;                            // its weight part joined the queue,
  bool passed_over = false;                       // left behind when a later one was taken,
  bool weight = false;                            // or was computed
  struct Travel {
    int32_t order = -1;  // place among all tensors from this sender to this receiver
    bool sent = false, received = false;
  };
  Travel activation, gradient;
  Travel& travel(Payload payload) {
    return payload == Payload::kActivation ? activation : gradient;
  }
  int32_t rank(Payload made) const {
    return made == Payload::kActivation ? forward_rank : backward_rank;
  }
  bool made(Payload payload) const { return payload == Payload::kActivation ? forward : backward; }
};

struct CheckTables {
  const PipelineSchedule& schedule;
  ScheduleCheck result = {};
  std::vector<ChunkProgress> chunks = {};  // [n_stages * n_micro_batches]

  bool exists(Chunk c) const {
    return c.stage >= 0 && c.stage < schedule.n_stages && c.micro_batch >= 0 &&
           c.micro_batch < schedule.n_micro_batches;
  }
  ChunkProgress& at(Chunk c) {
    return chunks[static_cast<size_t>(int64_t{c.stage} * schedule.n_micro_batches + c.micro_batch)];
  }
  // The rank that makes this tensor; -1: nobody.
  int32_t maker(Payload payload, Chunk c) { return exists(c) ? at(c).rank(payload) : -1; }

  template <class... Parts>
  void violation(const Parts&... parts) {
    if (result.violations.size() < kMaxViolations) result.violations.push_back(concat(parts...));
    ++result.n_violations;
  }
};

// The chunk that takes this chunk's tensor as input; it may not exist.
inline Chunk consumer_of(Payload payload, Chunk c) {
  return {c.stage + (payload == Payload::kActivation ? 1 : -1), c.micro_batch};
}

// "the activation of stage 3, micro-batch 0"
std::string describe(Payload payload, Chunk c);

// Fills forward_rank and backward_rank of every chunk. A chunk computed twice belongs to the first.
// REQUIRES stages, micro-batches and ranks in range.
void find_computing_ranks(CheckTables& tables);

// Everything that can be seen from one rank's list, given what the ranks before it did.
void check_rank(CheckTables& tables, int32_t rank);

}  // namespace hadal
