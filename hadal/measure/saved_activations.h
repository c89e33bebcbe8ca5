// measure/saved_activations.h: what waits between F and B of one micro-batch, tensor by tensor.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hadal/model/deepseek_v3.h"
#include "hadal/tensor/context.h"

namespace hadal {

// Bytes a token by what waits: norm_inputs, norm_outputs, norm_statistics, latents, linear_inputs,
// up_projections, attention_output, softmax, swiglu_inputs, swiglu_outputs, routing (on the host,
// too). What two layers share counts once, for the first.
using SavedBytes = std::map<std::string, double>;

struct SavedActivations {
  std::vector<SavedBytes> layers;
  SavedBytes by_what() const;  // of all layers
  double total() const;
  double arena_bytes =
      0.0;  // a token, by the arena's account: blocks are rounded up, host left out
};

// Of all decoder layers, for one sequence of `tokens` random ids: embedding, heads and MTP modules
// left out.
SavedActivations saved_activations(Context& ctx, const DeepseekV3& model, int64_t tokens,
                                   uint64_t seed, const RecomputePolicy& recompute = {});

}  // namespace hadal
