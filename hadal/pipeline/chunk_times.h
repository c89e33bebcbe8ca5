// pipeline/chunk_times.h: from the times of one layer to the times of a pipeline chunk.
//
// A chunk alone exposes its all-to-all: every layer waits for its dispatch and its combine. In an
// overlapped pair the communication of one direction runs under the computation of the other. With
// C the computation and X the communication of both chunks, and e the overlap efficiency,
//
//   F = C_f + X_f    B_in = C_b + X_b    W = C_w    F&B = max(C, X) + (1 - e) min(C, X)
//
// e = 1: the shorter of the two vanishes; e = 0: nothing overlaps, F&B = F + B.
// Times are in any one unit.
#pragma once

#include <vector>

#include "hadal/pipeline/simulator.h"

namespace hadal {

// Of one micro-batch in one layer, or in the layers of one stage together.
struct LayerTimes {
  double forward = 0, backward_input = 0, weight = 0;  // computation
  double all_to_all_forward = 0;                       // dispatch and combine
  double all_to_all_backward = 0;                      // the same, of gradients
};

LayerTimes operator*(double n_layers, const LayerTimes& layer);

// Duration of an overlapped pair whose two chunks have these times together.
double overlapped_pair(double compute, double communication, double efficiency);

// Stage times and pair share of a pipeline from what each stage holds. Stages may differ (dense
// layers, embedding, head): the share is that of the stages' pairs together. ConfigError for no
// stages, negative or not finite times, or an efficiency outside 0 to 1.
PipelineTimes chunk_times(const std::vector<LayerTimes>& stages, double overlap_efficiency);

}  // namespace hadal
