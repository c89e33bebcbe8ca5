// parallel/pipeline_executor.h: runs a pipeline schedule (schedule/schedule.h) on real tensors.
//
// Each rank of the pipeline interprets its list of actions over stages in steps (model/stage_forward.h,
// model/stage_backward.h). Between ranks travel activations and their gradients, F32 [T,d]. A tensor leaves
// as soon as it is made, wherever the list has its send; a receive is posted where the list has it;
// neighbouring stages of one rank hand over directly.
//
// F&B: the backward chunk and the forward chunk take turns, step by step, so that what each started is on
// its way while the other computes:
//
//   B  combine_backward |           | experts_backward |         | dispatch_backward, attention_backward, ... |
//   F                   | attention |                  | experts |                                            | combine, ...
//
// Whose turn it is waits for nothing that the other could use: where its messages are not there yet the other
// goes on, and where both wait, W of blocks that B has passed is done. A few parts of W are kept for that,
// also into the next action. Gradients are added in the same order whatever arrives first.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "hadal/comm/communicator.h"
#include "hadal/model/stage.h"
#include "hadal/parallel/run_trace.h"
#include "hadal/parallel/step_losses.h"
#include "hadal/schedule/schedule.h"

namespace hadal {

struct PipelineRun {
  int64_t step = 0;           // for messages
  bool overlap = true;        // false: the two chunks of an F&B one after the other, F first
  RunTrace* trace = nullptr;  // what was computed is added to it
  RecomputePolicy recompute = {};
  // Called once for each layer of this rank's stages when its gradients are complete.
  std::function<void(int64_t layer)> layer_done = {};
};

class PipelineExecutor {
 public:
  // cuts[s] is what stage s holds. The pipeline's rank r runs list r; it and the dispatcher outlive the
  // executor. ConfigError unless the schedule is right (schedule/schedule_check.h) and the cuts are those
  // of its stages: embedding first, heads last, every layer once. A stage may have no layer.
  PipelineExecutor(PipelineSchedule schedule, std::vector<StageCut> cuts, Communicator& pipeline,
                   TokenDispatcher& dispatcher);

  // F, B and W of all micro-batches; this rank's gradients are added to what its parameters hold. Every rank
  // of the pipeline calls it with the same micro-batches, which all ranks have. `model` has data where this
  // rank's stages need them. ConfigError if model or micro-batches are not those of schedule and cuts.
  StepLosses run(Context& ctx, DeepseekV3& model, std::span<const MicroBatch> micro_batches,
                 const LossWeights& weights, const PipelineRun& how = {});

  const PipelineSchedule& schedule() const { return schedule_; }
  const std::vector<StageCut>& cuts() const { return cuts_; }

 private:
  friend class PipelinePass;
  const PipelineSchedule schedule_;
  const std::vector<StageCut> cuts_;
  Communicator& pipeline_;
  TokenDispatcher& dispatcher_;
};

}  // namespace hadal
