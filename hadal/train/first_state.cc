#include "hadal/train/first_state.h"

#include "hadal/core/log.h"
#include "hadal/model/checkpoint.h"

namespace hadal {

DeepseekV3 first_weights(Context& ctx, const ModelConfig& shape, const TrainConfig& config,
                         bool from_checkpoint, const HeldPart& part) {
  if (!config.model.init.empty() && !from_checkpoint) {
    log_note("beginning with the weights of ", config.model.init);
    DeepseekV3 model = load_model(ctx, config.model.init, {.part = part});
    model.config = shape;
    return model;
  }
  DeepseekV3 model = make_model(shape, ctx.arena, part);
  initialise_weights(model, ctx.arena, static_cast<uint64_t>(config.train.seed),
                     static_cast<float>(config.model.init_std));
  return model;
}

AdamwConfig adamw_config(const TrainConfig::Optimizer& o) {
  return {o.beta1, o.beta2, o.eps, o.weight_decay,
          o.moment_dtype == "bf16" ? DType::kBF16 : DType::kF32};
}

ModelConfig shape_for(const TrainConfig& config, const Tokenizer& tokenizer) {
  ModelConfig shape = model_shape(config, tokenizer.vocab_size());
  shape.bos_token_id = tokenizer.bos_id().value_or(-1);
  shape.eos_token_ids.clear();
  if (tokenizer.eos_id()) shape.eos_token_ids.push_back(*tokenizer.eos_id());
  return shape;
}

}  // namespace hadal
