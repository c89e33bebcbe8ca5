#include "hadal/measure/saved_activations.h"

#include "hadal/measure/random_operand.h"
#include "hadal/model/stage.h"

namespace hadal {

double saved_bytes_per_token(Context& ctx, const DeepseekV3& model, int64_t tokens, uint64_t seed) {
  const std::vector<int32_t> ids = random_tokens(tokens, model.config.vocab_size, seed);
  const MicroBatch batch{ids, ids, 1, tokens, tokens, 1};
  StageCut cut = StageCut::whole(model.config);
  cut.heads = false;
  LocalDispatcher dispatcher;
  StageSaved saved;
  const int64_t before = ctx.arena.bytes_in_use();
  stage_forward(ctx, dispatcher, model, cut, {}, batch, LossWeights{}, saved);
  return static_cast<double>(ctx.arena.bytes_in_use() - before) / static_cast<double>(tokens);
}

}  // namespace hadal
