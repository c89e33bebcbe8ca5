// train/layer_figures.h: what each layer does in a step: how large its output is, how large its
// gradients are, and how evenly they fall on its experts. Measured every log.layers_every_steps steps,
// on F32 values whatever the products are computed in, in an order that does not depend on threads.
#pragma once

#include <vector>

#include "hadal/core/json.h"
#include "hadal/model/loss.h"
#include "hadal/optim/gradient_clip.h"
#include "hadal/tensor/context.h"

namespace hadal {

// The residual stream behind a layer, over the batch.
struct LayerOutput {
  double largest = 0.0, sum_of_squares = 0.0;
  int64_t elements = 0;
  double rms() const;
};

struct LayerFigures {
  std::vector<LayerOutput> outputs;  // MTP layers last; empty: not measured
  std::vector<double> grad_norms;    // before clipping, of all parameters of the layer
  // Of the experts' gradient norms, largest over mean; 0 for a dense layer.
  std::vector<double> expert_grad_max_over_mean;
  std::vector<int64_t> idle_experts;  // that no token chose; -1 for a dense layer
  double embedding_grad_norm = 0.0, head_grad_norm = 0.0;  // the head's 0 where it is tied
};

// Collects the outputs of every micro-batch.
class OutputProbe : public Probe {
 public:
  OutputProbe(Context& ctx, std::vector<LayerOutput>& outputs) : ctx_(ctx), outputs_(outputs) {}
  void offer(std::string_view name, int layer, const Tensor& value) override;

 private:
  Context& ctx_;
  std::vector<LayerOutput>& outputs_;
};

// The rest, from the batch's gradients and load.
void add_gradient_figures(LayerFigures& figures, const GradientNorm& norm,
                          const std::vector<Trainable>& params, const ExpertLoad& load);

// As metrics.jsonl names them; nothing where nothing was measured.
Json layer_metrics(const LayerFigures& figures);

}  // namespace hadal
