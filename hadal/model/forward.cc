// Forward for evaluation: logits of every row, nothing kept.
#include <algorithm>

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/head.h"
#include "hadal/model/mtp_rows.h"

namespace hadal {
namespace {

Tensor logits_of(Context& ctx, const DeepseekV3& model, const Tensor& normed) {
  Tensor logits = ctx.empty({normed.dim(0), model.config.vocab_size});
  head_forward(ctx, logits.mat(), model, normed.mat());
  return logits;
}

void offer(Context& ctx, const char* name, int layer, const Tensor& value) {
  if (ctx.probe != nullptr) ctx.probe->offer(name, layer, value);
}

}  // namespace

EvalOutput forward_logits(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          const Sequences& sequences, bool with_mtp) {
  check_tokens(model, tokens.size(), sequences);
  Tensor x = embed(ctx, model, tokens);
  for (const DecoderLayer& layer : model.layers) {
    DecoderLayer::Saved dropped;
    x = layer.forward(ctx, std::move(x), {sequences, model.rope, {}}, dropped);
    offer(ctx, "hidden", layer.index, x);
  }
  const Tensor normed = model.final_norm.forward(ctx, x);
  offer(ctx, "final_norm", -1, normed);
  EvalOutput output;
  output.logits = logits_of(ctx, model, normed);
  offer(ctx, "logits", -1, output.logits);
  if (!with_mtp) return output;

  const bool post_norm = model.config.mtp_hidden == MtpHidden::kPostNorm;
  Tensor state = post_norm ? normed.share() : std::move(x);
  Sequences from = sequences;
  int64_t depth = 0;
  for (const MtpBlock& block : model.mtp) {
    const Sequences rows = shortened(from);
    if (rows.tokens() == 0) {  // every sequence is too short for this depth
      output.mtp_logits.push_back(ctx.empty({0, model.config.vocab_size}));
      from = rows;
      continue;
    }
    const Tensor embedded = embed(ctx, model, shifted_ids(tokens, sequences, rows, ++depth));
    MtpBlock::Saved dropped;
    MtpBlock::Output out = block.forward(ctx, embedded, leading_rows(ctx, state, from, rows),
                                         {rows, model.rope, {}}, dropped);
    offer(ctx, "mtp.hidden", block.layer.index, out.hidden);
    output.mtp_logits.push_back(logits_of(ctx, model, out.normed));
    offer(ctx, "mtp.logits", block.layer.index, output.mtp_logits.back());
    state = post_norm ? std::move(out.normed) : std::move(out.hidden);
    from = rows;
  }
  return output;
}

}  // namespace hadal
