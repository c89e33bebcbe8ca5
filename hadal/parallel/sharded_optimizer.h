// parallel/sharded_optimizer.h: AdamW whose state is shared out among the holders of each parameter
// (ZeRO-1; arXiv:2412.19437 section 3.2). One step:
//
//   reduce-scatter of gradients over holders -> exact norm over all ranks -> clip ->
//   AdamW on the own units -> all-gather of their new values
//
// Moments and average lie with a unit's owner alone. So does the F32 master of a weight that products
// read in another form (model/precision.h): what is gathered then is that form, BF16 values or FP8 codes
// and scales, and Param::master has no data. Masters that products read themselves are whole everywhere.
// A parameter that one rank alone holds is that rank's, without messages.
//
// All members are called by all ranks together, in the same order, and leave equal bytes on all holders.
// On the host.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hadal/optim/adamw.h"
#include "hadal/optim/weight_average.h"
#include "hadal/parallel/gradient_sync.h"

namespace hadal {

// Every parameter that is moved by its gradient: all but router biases.
std::vector<Trainable> trainables(const std::vector<NamedParam>& params);

class ShardedOptimizer {
 public:
  // REQUIRES that the model is this rank's part (parallel/holders.h), with values that are equal on all
  // holders, gradients and its precision. Makes the working weights. The model must outlive it and stay
  // where it is.
  ShardedOptimizer(Context& ctx, Communicator& world, const Holders& holders, DeepseekV3& model,
                   const AdamwConfig& config, bool with_average);
  ShardedOptimizer(const ShardedOptimizer&) = delete;
  ShardedOptimizer& operator=(const ShardedOptimizer&) = delete;

  // While gradients are computed: those of a layer of the decoder get nothing more on this rank, so their
  // sums may begin. Never waits. For any layers, in any order, or not at all.
  void layer_done(Context& ctx, int64_t layer);
  // The gradients of all holders, added.
  void finish_sums(Context& ctx);
  // The same; the norm of the whole model's. squares: as trained().
  GradientNorm sum_gradients(Context& ctx);
  const std::vector<TrainedParameter>& trained() const { return trained_; }
  // Where a gradient that is not finite was made: the same words on every rank, naming the rank, the step
  // and the parameter. Nothing if the norm is finite. After sum_gradients, before step.
  std::optional<std::string> find_not_finite(Context& ctx, const GradientNorm& norm, int64_t step);

  // The update from the sums. Gradients are zero then.
  void step(Context& ctx, double lr, float grad_scale);
  void drop_gradients(Context& ctx);  // instead

  // REQUIRES an average. The own units of it follow beside the next step's gradients.
  void begin_average(Context& ctx, float decay) { average_->begin_update(ctx, decay); }
  // What the model computes with becomes the average, and again the weights.
  void show_average(Context& ctx);
  void show_weights(Context& ctx);

  // This rank's units, for checkpoints: moments, values, averages, in the order of adamw().shards().
  AdamW& adamw() { return *adamw_; }
  // After the own units' values have changed (Shard::values): all holders have them.
  void share_weights(Context& ctx) { gather(ctx, own_values()); }
  std::optional<WeightAverage>& average() { return average_; }

 private:
  void keep_own_masters(Context& ctx);
  // Everywhere what products read of the own units' values, F32, as adamw().shards().
  void gather(Context& ctx, const std::vector<Tensor>& values);
  std::vector<Tensor> own_values();
  Exchange start_gather(Context& ctx, SyncedGroup& group, const Bucket& bucket);
  void take_gathered(Context& ctx, const SyncedGroup& group, const Bucket& bucket,
                     const std::vector<Tensor>& pieces);

  Communicator& world_;
  const Holders& holders_;
  std::vector<TrainedParameter> trained_;
  std::vector<int64_t> positions_;  // of adamw().params()
  std::vector<int64_t> layers_;     // the same; -1: of none
  std::vector<WorkingForm> forms_;  // the same
  std::vector<SyncedGroup> groups_;
  std::optional<AdamW> adamw_;
  std::optional<WeightAverage> average_;
  std::optional<GradientSums> sums_;  // under way
  std::vector<Tensor> hidden_;        // the own units' weights while the average is shown
};

}  // namespace hadal
