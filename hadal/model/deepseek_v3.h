// model/deepseek_v3.h: the model as a list of layers, and its parameters by name. What runs it:
// model/training_pass.h, model/stage.h, model/forward.h, infer/cached_forward.h.
//
// A model may be read by many threads at once. What changes parameters, gradients or the rotary table
// needs it alone.
#pragma once

#include <string>
#include <vector>

#include "hadal/model/held_part.h"
#include "hadal/nn/mtp_block.h"

namespace hadal {

struct DeepseekV3 {
  ModelConfig config;
  HeldPart held;                     // what of the following has data, or will
  Param embedding;                   // [V, d]
  std::vector<DecoderLayer> layers;  // n_layers
  RmsNorm final_norm;
  Param head;                 // [V, d]; without data when tied to the embedding
  std::vector<MtpBlock> mtp;  // n_mtp
  RopeTable rope;

  Param& head_param() { return config.tie_word_embeddings ? embedding : head; }
  const Param& head_param() const { return config.tie_word_embeddings ? embedding : head; }
  // Grows the table when needed: before a run, since everybody who runs the model reads this one.
  void ensure_rope(Arena& arena, int64_t n_positions);
};

// Shapes only: every Param has its shape set and no data yet.
DeepseekV3 make_model(const ModelConfig& config, Arena& arena);
DeepseekV3 make_model(const ModelConfig& config, Arena& arena, HeldPart part);
// N(0, std^2) for matrices in a fixed order, 1 for norms, 0 for route_bias; F32. A parameter's values
// depend on seed and position alone: a part has those of the whole model.
void initialise_weights(DeepseekV3& model, Arena& arena, uint64_t seed, float std_dev = 0.006F);
void allocate_gradients(DeepseekV3& model, Arena& arena);

enum class ParamKind { kMatrix, kNorm, kRouteBias };
struct NamedParam {
  std::string name;  // Hugging Face name
  Param* param;
  ParamKind kind;
  Tensor::Shape shape;
  int64_t position = -1;  // in the list of the whole model
  ParamPlace place = {};
};
// Every held parameter once, in a fixed order: embedding, layers ascending, final norm, head (if
// untied), MTP modules (without the copies of embedding and head). Names come from
// model/hf_names.cc. ShapeError for a model whose experts have slots (nn/moe.h): some are there twice.
std::vector<NamedParam> named_params(DeepseekV3& model);

}  // namespace hadal
