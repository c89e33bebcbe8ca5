// model/stage.h: a run of layers with or without the model's ends, as one place of a pipeline holds
// it. The whole model is the one-stage case.
//
//   embedding? -> layers [first, last) -> heads?      heads: final norm, head, MTP modules, losses
//
// F fills a StageSaved, B adds the gradients of activations to it, W consumes it. F and B are const:
// gradients of parameters are touched by W alone. A StageSaved is a value that travels F -> B -> W.
#pragma once

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/micro_batch.h"

namespace hadal {

struct StageCut {
  bool embedding = true;  // tokens come in; else rows [T,d] of the stage before
  int64_t first_layer = 0, last_layer = 0;
  bool heads = true;  // losses come out; else rows [T,d] for the next stage
  bool mtp = true;    // with the heads: the MTP modules too

  static StageCut whole(const ModelConfig& config) {
    return {.first_layer = 0, .last_layer = config.n_layers};
  }
};
// `n` stages, layers shared out as evenly as they go, the longer ones first. REQUIRES 1 <= n <= layers.
std::vector<StageCut> even_cuts(const ModelConfig& config, int64_t n);

struct StageSaved {
  Pass pass;
  std::vector<int32_t> tokens;              // [T]
  std::vector<DecoderLayer::Saved> layers;  // of the cut
  RmsNorm::Saved final_norm;
  Tensor final_hidden;  // what the head multiplied [T,d]
  Tensor dlogits;       // [T,V]
  struct Mtp {
    MtpBlock::Saved block;
    Pass pass;
    std::vector<int32_t> tokens, targets;
    Tensor normed, dlogits, dembedded;
    bool has_rows() const { return pass.sequences.tokens() > 0; }
  };
  std::vector<Mtp> mtp;
  Tensor dx;  // gradient of the embedded tokens
};

struct StageOutput {
  Tensor rows;      // [T,d] for the next stage; empty where the stage has heads
  LossParts loss;   // ce and mtp where it has heads, balance of its layers
  ExpertLoad load;  // of its layers, MTP layers last
};

// `rows` [T,d] from the stage before; empty where the stage has the embedding.
StageOutput stage_forward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                          const StageCut& cut, Tensor rows, const MicroBatch& batch,
                          const LossWeights& weights, StageSaved& saved);
// drows [T,d] from the next stage, empty where this one has heads. Returns the gradient of `rows`,
// empty where the stage has the embedding.
Tensor stage_backward_input(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                            const StageCut& cut, Tensor drows, StageSaved& saved);
void stage_backward_weight(Context& ctx, DeepseekV3& model, const StageCut& cut,
                           StageSaved&& saved);

}  // namespace hadal
