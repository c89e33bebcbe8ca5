// model/stage.h: a run of layers with or without the model's ends, as one place of a pipeline holds
// it. The whole model is the one-stage case.
//
//   embedding? -> layers [first, last) -> heads?      heads: final norm, head, MTP modules, losses
//
// F (model/stage_forward.h) fills a StageSaved, B adds the gradients of activations to it, W consumes it
// (model/stage_backward.h). F and B are const: gradients of parameters are touched by W alone. A StageSaved
// is a value that travels F -> B -> W.
#pragma once

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/micro_batch.h"

namespace hadal {

struct StageCut {
  bool embedding = true;  // tokens come in; else rows [T,d] of the stage before
  int64_t first_layer = 0, last_layer = 0;
  bool heads = true;  // losses come out; else rows [T,d] for the next stage
  bool mtp = true;    // with the heads: the MTP modules too

  int64_t n_layers() const { return last_layer - first_layer; }
  static StageCut whole(const ModelConfig& config) {
    return {.first_layer = 0, .last_layer = config.n_layers};
  }
};
// Stages of so many layers each, in order; some may have none. REQUIRES at least one stage.
std::vector<StageCut> cuts_of(const std::vector<int64_t>& n_layers);
// `n` stages, layers shared out as evenly as they go, the longer ones first. REQUIRES 1 <= n <= layers.
std::vector<StageCut> even_cuts(const ModelConfig& config, int64_t n);

// The rows of one pass, which all stages know: their ids, and the ids to predict (may be empty: nobody
// asks for a loss).
struct StageRows {
  std::span<const int32_t> tokens, targets = {};
  Sequences sequences;
  BalanceLoss balance = {};
  double per_target = 0.0;  // a row's share in a mean over the global batch
  double mtp_weight = 0.0;  // of the sum of all depths' losses in the total

  RecomputePolicy recompute = {};

  static StageRows of(const MicroBatch& batch, const LossWeights& weights, int64_t n_mtp,
                      const RecomputePolicy& recompute = {});
};

// What one head reads, and what its loss needs. The loss itself is formed by B, a few rows at a time, so
// that [T,V] logits never exist; a W apart from B forms those rows' gradients once more.
struct HeadRows {
  Tensor normed;                 // [T,d]; no data where no sequence is long enough
  std::vector<int32_t> targets;  // [T]
  double weight = 1.0;           // of its loss in the total
};

struct StageSaved {
  Pass pass;
  std::vector<int32_t> tokens;              // [T]
  std::vector<DecoderLayer::Saved> layers;  // of the cut
  RmsNorm::Saved final_norm;
  HeadRows head;
  double per_target = 0.0;
  struct Mtp {
    MtpBlock::Saved block;
    Pass pass;
    std::vector<int32_t> tokens;
    HeadRows head;
    Tensor dembedded;
    bool has_rows() const { return pass.sequences.tokens() > 0; }
  };
  std::vector<Mtp> mtp;
  Tensor dx;  // gradient of the embedded tokens
};

}  // namespace hadal
