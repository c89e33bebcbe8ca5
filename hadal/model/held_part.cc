#include "hadal/model/held_part.h"

#include "hadal/model/stage.h"

namespace hadal {

bool HeldPart::holds(const ParamPlace& place) const {
  switch (place.part) {
    case ParamPlace::Part::kEmbedding:
      return embedding;
    case ParamPlace::Part::kHeads:
      return heads;
    case ParamPlace::Part::kLayer:
    case ParamPlace::Part::kMtp:
      break;
  }
  return holds_layer(place.layer) &&
         (place.expert < 0 || (place.expert >= experts.first && place.expert < experts.last));
}

HeldPart part_of_stages(const ModelConfig& config, std::span<const StageCut> cuts,
                        ExpertRange experts) {
  HeldPart part{.embedding = false,
                .layers = std::vector<bool>(static_cast<size_t>(config.n_layers), false),
                .heads = false,
                .mtp = false,
                .experts = experts};
  for (const StageCut& cut : cuts) {
    const bool mtp = cut.heads && cut.mtp && config.n_mtp > 0;
    part.embedding |= cut.embedding || mtp || (cut.heads && config.tie_word_embeddings);
    part.heads |= cut.heads;
    part.mtp |= mtp;
    for (int64_t layer = cut.first_layer; layer < cut.last_layer; ++layer) {
      part.layers[static_cast<size_t>(layer)] = true;
    }
  }
  return part;
}

}  // namespace hadal
