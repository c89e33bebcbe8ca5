// pipeline/schedule_facts.h: what people call a schedule, and its published bubble (docs/schedules.md,
// "The six schedules").
#pragma once

#include <string>

#include "hadal/pipeline/simulator.h"

namespace hadal {

// "dualpipe" -> "DualPipe"; a name from a file becomes one line without control characters.
std::string schedule_title(const std::string& name);

// How the stages lie on the ranks, which decides what a picture's two tones mean.
enum class Placement {
  kOneStage,       // 1F1B, ZB1P
  kTwoDirections,  // DualPipe: rank r holds stages r and P-1-r
  kThereAndBack,   // DualPipeV, ZBV: rank r holds stages r and 2P-1-r
  kOther,          // interleaved among them
};
Placement placement_of(const PipelineSchedule& schedule);

struct BubbleFormula {
  std::string text;     // "(PP/2 - 1)(F&B + B - 3W)"
  double value = 0;     // of every rank; with unequal stages of the means
  std::string departs;  // why a simulation may differ; empty: it must be equal
  bool applies() const { return departs.empty(); }
};

// Where the formulas hold was found by simulation of all sizes to 16 stages: 1F1B always; ZB1P for
// W <= F and W <= B_in; DualPipe and DualPipeV for F = B_in, W <= F and F&B = F + B; interleaved for
// W <= F, W <= B_in, F&B = F + B and whole groups of micro-batches, one for each rank; ZBV for
// F = B_in and F/2 <= W <= F; all of them with equal stages, transfers that cost nothing, and at least
// as many micro-batches as stages (interleaved: as ranks; ZBV: as stages less one).
BubbleFormula bubble_formula(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                             const PipelineTimes& times,
                             int32_t stages_per_rank = kInterleavedStages);

}  // namespace hadal
