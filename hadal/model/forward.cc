#include "hadal/model/forward.h"

#include "hadal/model/head.h"
#include "hadal/model/stage_forward.h"

namespace hadal {

EvalOutput head_outputs(Context& ctx, const DeepseekV3& model, StageSaved& saved) {
  const auto logits_of = [&](HeadRows& head, const char* name, int layer) {
    const Tensor normed = std::move(head.normed);
    if (!normed.has_data()) return ctx.empty({0, model.config.vocab_size});
    Tensor logits = head_logits(ctx, model, normed.mat());
    if (ctx.probe != nullptr) ctx.probe->offer(name, layer, logits);
    return logits;
  };
  EvalOutput output{logits_of(saved.head, "logits", -1), {}};
  for (size_t k = 0; k < saved.mtp.size(); ++k) {
    output.mtp_logits.push_back(
        logits_of(saved.mtp[k].head, "mtp.logits", model.mtp[k].layer.index));
  }
  return output;
}

EvalOutput forward_logits(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          const Sequences& sequences, bool with_mtp) {
  LocalDispatcher dispatcher;
  StageCut cut = StageCut::whole(model.config);
  cut.mtp = with_mtp;
  StageSaved saved;
  StageForward(ctx, dispatcher, model, cut, {}, {.tokens = tokens, .sequences = sequences},
               Keep::kNothing, saved)
      .run();
  return head_outputs(ctx, model, saved);
}

}  // namespace hadal
