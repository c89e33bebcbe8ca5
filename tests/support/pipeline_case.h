// tests/support/pipeline_case.h: a small model trained for one step by thread ranks, held against one rank
// that had the same micro-batches.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hadal/comm/thread_ranks.h"
#include "hadal/parallel/pipeline_executor.h"
#include "hadal/schedule/schedule.h"
#include "tests/support/trainee.h"

namespace hadal::test {

struct PipelineCase {
  ModelConfig config;
  PipelineSchedule schedule;
  std::vector<StageCut> cuts;
  uint64_t seed = 1;
  int64_t sequences = 1, length = 5;  // of a micro-batch
  int32_t replicas = 1, expert = 1;   // as ParallelConfig's data and expert
  LinearPrecision precision = Precision::kF32;
  // Attention and experts, there and back, take so long besides: asleep, so that a busy machine does the
  // same. Of experts over ranks.
  double phase_seconds = 0;
  std::string what;

  PipelineCase(const ModelConfig& model, ScheduleKind kind, int32_t n_stages,
               int32_t n_micro_batches, int32_t stages_per_rank = kInterleavedStages);
  PipelineCase() = default;
  static PipelineCase random(uint64_t seed);  // schedule, model, cuts, sizes and layout

  ParallelConfig layout() const;
  int64_t n_micro_batches() const { return int64_t{replicas} * schedule.n_micro_batches; }
  std::unique_ptr<Trainee> trainee() const;  // the whole model and batch
  std::vector<MicroBatch> micro_batches(const Trainee& of, int32_t replica) const;
};

// One step on all ranks. A rank's model has data only where its stages need it, and its own share of experts.
struct PipelineResult {
  explicit PipelineResult(const PipelineCase& of, const PipelineRun& how = {},
                          const SlowLink& link = {});
  std::vector<std::unique_ptr<Trainee>> ranks;  // of the world
  std::vector<int64_t> bytes_before;            // likewise: in use before the step
  std::vector<RunTrace> traces;                 // likewise
  std::vector<StepTotals> totals;               // what each rank says of the whole step
};

// Losses and loads to the bit, on every rank; the gradients' sum over the ranks to rounding.
void expect_equals_one_rank(const PipelineCase& of);

}  // namespace hadal::test
