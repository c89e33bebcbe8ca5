// measure/model_flops.h: operations that the mathematics of a model needs per token.
#pragma once

#include "hadal/model/config.h"

namespace hadal {

// A forward pass: 2 per active parameter of the main model (the embedding is a look-up), and causal
// attention over `length` tokens, half of 2 length (d_qk + d_v) per head and layer, on average.
double forward_flops_per_token(const ModelConfig& config, int64_t length);
// Forward, backward to the input and backward to the weights: three times that, of the main model and of
// the MTP modules, each of which runs a layer and the head. hadal plan's flops_per_token leaves these out,
// as published figures do.
double training_flops_per_token(const ModelConfig& config, int64_t length);

}  // namespace hadal
