// optim/weight_average.h: the exponential moving average of the weights, a copy that lags behind them and
// previews what they are worth after the learning rate has decayed.
//
//   average = decay * average + (1 - decay) * weight      element by element, F32
//
// As in the report (arXiv:2412.19437 section 3.2.3) it is brought up to date beside the training: an
// update reads the weights on a thread of its own, while the next step computes its gradients, which
// only reads them too. It lies where the weights do; the report's lies in host memory, which on a card
// it does not yet.
#pragma once

#include <future>
#include <vector>

#include "hadal/optim/trainable.h"

namespace hadal {

class WeightAverage {
 public:
  // Begins as the weights are, of these shards. Both lists must outlive it and stay where they are.
  WeightAverage(Arena& arena, const std::vector<Trainable>& params, std::vector<Shard>& shards);
  ~WeightAverage();
  WeightAverage(const WeightAverage&) = delete;
  WeightAverage& operator=(const WeightAverage&) = delete;

  // Returns at once. Until wait() nobody may write to a weight. On a card the update joins the stream, whose
  // order does the same.
  void begin_update(Context& ctx, float decay);
  // The update that was begun, if any, has ended. Before weights change, are loaded, or exchanged.
  void wait();

  // As the shards, after wait().
  std::vector<Tensor>& tensors();
  // Swaps the weights with their average; a second call undoes the first. REQUIRES whole shards.
  void exchange();

 private:
  const std::vector<Trainable>& params_;
  std::vector<Shard>& shards_;
  std::vector<Tensor> tensors_;
  std::future<void> update_;
};

}  // namespace hadal
