#include "hadal/model/forward.h"

#include "hadal/model/head.h"
#include "hadal/model/stage_blocks.h"

namespace hadal {

EvalOutput forward_logits(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          const Sequences& sequences, bool with_mtp) {
  EvalOutput output;
  const auto on_head = [&](int64_t depth, const Tensor& normed) {
    Tensor logits = normed.has_data() ? head_logits(ctx, model, normed.mat())
                                      : ctx.empty({0, model.config.vocab_size});
    if (ctx.probe != nullptr && normed.has_data()) {
      const auto layer = static_cast<int>(model.config.n_layers + depth - 1);
      ctx.probe->offer(depth == 0 ? "logits" : "mtp.logits", depth == 0 ? -1 : layer, logits);
    }
    if (depth == 0) {
      output.logits = std::move(logits);
    } else {
      output.mtp_logits.push_back(std::move(logits));
    }
  };
  LocalDispatcher dispatcher;
  StageSaved dropped;
  StageCut cut = StageCut::whole(model.config);
  cut.mtp = with_mtp;
  blocks_forward(ctx, dispatcher, model, cut, {}, {tokens, {}, sequences}, {}, Keep::kNothing,
                 dropped, on_head);
  return output;
}

}  // namespace hadal
