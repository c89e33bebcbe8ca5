// model/held_part.h: which of a model's parameters are there. A model object has all its layers, so that
// they keep their numbers; those that are not held have shapes and no data, and of each layer's experts
// only the held range exists.
#pragma once

#include <span>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/ops/permute.h"

namespace hadal {

// Where a parameter stands in a model.
struct ParamPlace {
  enum class Part : uint8_t { kEmbedding, kLayer, kHeads, kMtp } part = Part::kLayer;
  int64_t layer = -1;   // kLayer and kMtp: MTP modules count on from n_layers; else -1
  int64_t expert = -1;  // of a routed expert: its number; else -1
};

struct HeldPart {
  bool embedding = true;
  std::vector<bool> layers;  // [n_layers]
  bool heads = true;         // final norm, and the head where it is no embedding
  bool mtp = true;           // all modules
  ExpertRange experts;       // of each layer with experts; router, bias and shared expert are whole

  static HeldPart whole(const ModelConfig& config) {
    return {.layers = std::vector<bool>(static_cast<size_t>(config.n_layers), true),
            .experts = {0, config.router.n_routed_experts}};
  }
  bool holds_layer(int64_t layer) const {  // MTP modules, too
    return layer < std::ssize(layers) ? layers[static_cast<size_t>(layer)] : mtp;
  }
  bool holds(const ParamPlace& place) const;
};

struct StageCut;
// What these stages of a model compute with. MTP modules read the embedding, a tied head is the embedding.
HeldPart part_of_stages(const ModelConfig& config, std::span<const StageCut> cuts,
                        ExpertRange experts);

}  // namespace hadal
