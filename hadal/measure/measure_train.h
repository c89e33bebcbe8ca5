// measure/measure_train.h: the speed and memory of whole optimizer steps.
#pragma once

#include "hadal/measure/measurement.h"
#include "hadal/model/config.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct MeasureTrainOptions {
  ModelConfig model;
  std::string preset = {};                  // its name, for the report; "": training_peer_shape
  int64_t batch = 8, seq = 256;             // sequences, tokens each
  int64_t micro_batch = 0;                  // sequences; 0: as training chooses, by the threads
  int64_t steps = 8;                        // the first warms up and does not count
  std::string precision = "fp32";           // or bf16, fp8: of all linears' products
  std::string weight_gradient = "retiled";  // or columns: FP8's operands (train/config.h)
  std::string norms = "inputs";             // or outputs: what of norms waits in FP8
  std::string recompute = "auto";           // or selective, none (train/config.h)
  uint64_t seed = 1;
};

// 11.8M parameters, 4.9M active: the shape on which peers are compared (six layers of width 256, 16
// experts of which 4 are active and one shared, no MTP, no YaRN).
ModelConfig training_peer_shape();

// Steps on random tokens. GFLOP/s counts model_flops.h only: no recomputation, no MTP.
MeasureReport measure_train(Context& ctx, const MeasureTrainOptions& options);

}  // namespace hadal
