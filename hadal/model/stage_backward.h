// model/stage_backward.h: B of one stage in steps as F's (model/stage_forward.h), and W:
//
//   heads, combine_backward | experts_backward | dispatch_backward, attention_backward, combine_backward | ...
//
// B either leaves W for later (B_in) or does it at once, block by block: the same numbers in less memory,
// because each block's Saved dies as soon as the gradient has passed it and a head multiplies once.
#pragma once

#include <functional>
#include <string_view>

#include "hadal/model/stage.h"

namespace hadal {

using WeightWork = std::function<void()>;
using TakeWeightWork = std::function<void(int64_t layer, WeightWork)>;

struct StageGradient {
  Tensor rows;     // [T,d] of the stage's rows; empty where it has the embedding
  LossParts loss;  // ce and mtp where the stage has heads
};

class StageBackward {
 public:
  // drows [T,d] from the next stage, empty where this one has heads. trained: the same model where W is
  // done at once, else nullptr. All but `drows` outlive it.
  // later: takes W of each block in place of doing it, two parts a block; they own what they need and must
  // run in the order in which they came.
  StageBackward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                DeepseekV3* trained, const StageCut& cut, Tensor drows, StageSaved& saved,
                TakeWeightWork later = {});

  bool done() const { return next_ == Next::kNothing; }
  std::string_view phase() const;  // that the next step begins with, as text
  bool ready();                    // whether the next step need not wait. REQUIRES !done()
  void step();                     // REQUIRES !done()
  StageGradient output();          // REQUIRES done(); once
  StageGradient run();             // all steps

 private:
  enum class Next { kHeads, kBlock, kExperts, kDispatch, kNothing };
  struct Block {  // layers of the cut, then MTP modules
    const DecoderLayer& layer;
    DecoderLayer* trained;
    const Pass& pass;
    DecoderLayer::Saved& saved;
  };
  size_t n_layers() const { return saved_.layers.size(); }
  Block block();
  Tensor head(const HeadRows& head, double& loss);
  void heads();
  bool begin_block();
  void finish_block();
  void finish_weights(const Block& here);
  Tensor enter_mtp(size_t k);
  void leave_mtp(size_t k, Tensor dx);
  void enter_layers();
  void leave_layers();

  Context& ctx_;
  TokenDispatcher& dispatcher_;
  const DeepseekV3& model_;
  DeepseekV3* trained_;
  const StageCut& cut_;
  StageSaved& saved_;
  Next next_;
  size_t block_;  // one past the next
  bool in_layers_;
  TakeWeightWork later_;
  Tensor dx_;                    // of the residual stream between layers
  std::vector<Tensor> dnormed_;  // of each head's input, the main head's first
  std::vector<Tensor> dhidden_;  // likewise of what was normed, beside its norm; pre_norm only
  StageGradient output_;
};

// W of what a B without `trained` left. Heads first, then blocks from the last to the first.
void stage_backward_weight(Context& ctx, DeepseekV3& model, const StageCut& cut,
                           StageSaved&& saved);

}  // namespace hadal
