#include "hadal/model/stage_blocks.h"

#include "hadal/model/head.h"
#include "hadal/model/mtp_rows.h"
#include "hadal/ops/embedding.h"

namespace hadal {
namespace {

void offer(Context& ctx, const char* name, int layer, const Tensor& value) {
  if (ctx.probe != nullptr) ctx.probe->offer(name, layer, value);
}

void note_routing(const DecoderLayer& layer, RoutingResult routing, StageOutput& output) {
  const Moe* moe = layer.moe();
  // No row may have reached the layer: nobody was chosen then.
  if (moe && routing.load.empty()) {
    routing.load.resize(static_cast<size_t>(moe->config.n_routed_experts), 0);
  }
  output.loss.balance += routing.balance_loss;
  output.load.push_back(std::move(routing.load));
}

// The MTP modules, each on the state of the one before; `state` is the main model's.
void mtp_forward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model, Tensor state,
                 const TokenRows& rows, const BalanceLoss& balance, Keep keep, StageSaved& saved,
                 StageOutput& output, OnHead on_head) {
  const bool post_norm = model.config.mtp_hidden == MtpHidden::kPostNorm;
  saved.mtp.resize(model.mtp.size());
  const Sequences* from = &saved.pass.sequences;
  for (size_t k = 0; k < model.mtp.size(); ++k) {
    const MtpBlock& block = model.mtp[k];
    StageSaved::Mtp& mtp = saved.mtp[k];
    const auto depth = static_cast<int64_t>(k) + 1;
    mtp.pass = Pass::over(shortened(*from), model.rope, balance);
    mtp.pass.recompute = saved.pass.recompute;
    MtpBlock::Output out;
    if (mtp.has_rows()) {
      const Sequences& to = mtp.pass.sequences;
      mtp.tokens = shifted_ids(rows.tokens, rows.sequences, to, depth);
      if (!rows.targets.empty()) {
        mtp.targets = shifted_ids(rows.targets, rows.sequences, to, depth);
      }
      TrainingAttention attention(mtp.pass);
      out = block.forward(ctx, attention, dispatcher, embed(ctx, model, mtp.tokens),
                          leading_rows(ctx, state, *from, to), mtp.pass, mtp.block);
      offer(ctx, "mtp.hidden", block.layer.index, out.hidden);
    }
    on_head(depth, out.normed);
    if (keep == Keep::kForBackward) {
      mtp.normed = out.normed.share();
    } else {
      mtp.block = {};
    }
    note_routing(block.layer, std::move(out.routing), output);
    state = post_norm ? std::move(out.normed) : std::move(out.hidden);
    from = &mtp.pass.sequences;
  }
}

// How the way back treats the blocks it passes. B alone leaves each Saved ready for W.
struct InputGradients {
  Context& ctx;
  TokenDispatcher& dispatcher;
  const DeepseekV3& model;

  MtpBlock::InputGradient mtp(size_t k, Tensor dnormed, Tensor dhidden, StageSaved::Mtp& saved) {
    return model.mtp[k].backward_input(ctx, dispatcher, std::move(dnormed), std::move(dhidden),
                                       saved.pass, saved.block);
  }
  Tensor layer(size_t i, Tensor dx, const Pass& pass, DecoderLayer::Saved& saved) {
    return model.layers[i].backward_input(ctx, dispatcher, std::move(dx), pass, saved);
  }
  void final_norm(RmsNorm::Saved& /*saved*/) {}
  void embedded(Tensor& /*dx*/, std::span<const int32_t> /*tokens*/) {}
};

// B and W at once: each Saved dies as soon as the gradient has passed it.
struct AllGradients {
  Context& ctx;
  TokenDispatcher& dispatcher;
  DeepseekV3& model;

  MtpBlock::InputGradient mtp(size_t k, Tensor dnormed, Tensor dhidden, StageSaved::Mtp& saved) {
    return model.mtp[k].backward(ctx, dispatcher, std::move(dnormed), std::move(dhidden),
                                 saved.pass, std::move(saved.block));
  }
  Tensor layer(size_t i, Tensor dx, const Pass& pass, DecoderLayer::Saved& saved) {
    return model.layers[i].backward(ctx, dispatcher, std::move(dx), pass, std::move(saved));
  }
  void final_norm(RmsNorm::Saved& saved) {
    model.final_norm.backward_weight(ctx, std::move(saved));
  }
  void embedded(Tensor& dx, std::span<const int32_t> tokens) {
    embedding_backward_weight(ctx, model.embedding.grad.mat(), std::as_const(dx).mat(), tokens);
    dx = {};
  }
};

// From the heads' inputs to the last layer's output: MTP modules, last first, then the final norm.
template <class Gradients>
Tensor heads_backward(Gradients gradients, std::vector<Tensor> dnormed, StageSaved& saved) {
  Context& ctx = gradients.ctx;
  const DeepseekV3& model = gradients.model;
  const bool post_norm = model.config.mtp_hidden == MtpHidden::kPostNorm;
  Tensor dhidden;  // gradient of the main model's last block past the final norm, pre_norm only
  Tensor dhidden_k;
  for (size_t k = saved.mtp.size(); k-- > 0;) {
    StageSaved::Mtp& mtp = saved.mtp[k];
    if (!mtp.has_rows()) continue;
    MtpBlock::InputGradient gradient =
        gradients.mtp(k, std::move(dnormed[k + 1]), std::move(dhidden_k), mtp);
    mtp.dembedded = std::move(gradient.embedded);
    gradients.embedded(mtp.dembedded, mtp.tokens);
    // The gradient of the state goes to where that state came from.
    const Sequences& from = k > 0 ? saved.mtp[k - 1].pass.sequences : saved.pass.sequences;
    Tensor& beside = k > 0 ? dhidden_k : dhidden;
    dhidden_k = {};
    if (!post_norm) beside = ctx.zeros(dnormed[k].shape());
    leading_rows_backward(ctx, post_norm ? dnormed[k] : beside, gradient.state, from,
                          mtp.pass.sequences);
  }
  Tensor dx;
  if (dhidden.has_data()) {
    dx = std::move(dhidden);
    model.final_norm.backward_input_add(ctx, dx, std::move(dnormed[0]), saved.final_norm);
  } else {
    dx = model.final_norm.backward_input(ctx, std::move(dnormed[0]), saved.final_norm);
  }
  gradients.final_norm(saved.final_norm);
  return dx;
}

template <class Gradients>
Tensor walk_back(Gradients gradients, const StageCut& cut, Tensor drows,
                 std::vector<Tensor> dnormed, StageSaved& saved) {
  Tensor dx = cut.heads ? heads_backward(gradients, std::move(dnormed), saved) : std::move(drows);
  for (size_t i = saved.layers.size(); i-- > 0;) {
    dx = gradients.layer(static_cast<size_t>(cut.first_layer) + i, std::move(dx), saved.pass,
                         saved.layers[i]);
  }
  if (!cut.embedding) return dx;
  saved.dx = std::move(dx);
  gradients.embedded(saved.dx, saved.tokens);
  return {};
}

}  // namespace

StageOutput blocks_forward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                           const StageCut& cut, Tensor x, const TokenRows& rows,
                           const BalanceLoss& balance, Keep keep, StageSaved& saved, OnHead on_head,
                           const RecomputePolicy& recompute) {
  check_tokens(model, rows.tokens.size(), rows.sequences);
  StageOutput output;
  saved.pass = Pass::over(rows.sequences, model.rope, balance);
  saved.pass.recompute = recompute;
  saved.tokens.assign(rows.tokens.begin(), rows.tokens.end());
  if (cut.embedding) x = embed(ctx, model, rows.tokens);
  TrainingAttention attention(saved.pass);
  saved.layers.resize(static_cast<size_t>(cut.last_layer - cut.first_layer));
  for (size_t i = 0; i < saved.layers.size(); ++i) {
    const DecoderLayer& layer = model.layers[static_cast<size_t>(cut.first_layer) + i];
    auto [hidden, routing] =
        layer.forward(ctx, attention, dispatcher, std::move(x), saved.pass, saved.layers[i]);
    x = std::move(hidden);
    if (keep == Keep::kNothing) saved.layers[i] = {};
    offer(ctx, "hidden", layer.index, x);
    note_routing(layer, std::move(routing), output);
  }
  if (!cut.heads) {
    output.rows = std::move(x);
    return output;
  }
  Tensor normed = model.final_norm.forward(ctx, x, saved.final_norm);
  offer(ctx, "final_norm", -1, normed);
  on_head(0, normed);
  const bool post_norm = model.config.mtp_hidden == MtpHidden::kPostNorm;
  Tensor state = post_norm ? normed.share() : std::move(x);
  if (keep == Keep::kForBackward) saved.final_hidden = std::move(normed);
  if (!cut.mtp) return output;
  output.loss.mtp.assign(model.mtp.size(), 0.0);
  mtp_forward(ctx, dispatcher, model, std::move(state), rows, balance, keep, saved, output,
              on_head);
  return output;
}

Tensor blocks_backward_input(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                             const StageCut& cut, Tensor drows, std::vector<Tensor> dnormed,
                             StageSaved& saved) {
  return walk_back(InputGradients{ctx, dispatcher, model}, cut, std::move(drows),
                   std::move(dnormed), saved);
}

Tensor blocks_backward(Context& ctx, TokenDispatcher& dispatcher, DeepseekV3& model,
                       const StageCut& cut, Tensor drows, std::vector<Tensor> dnormed,
                       StageSaved& saved) {
  return walk_back(AllGradients{ctx, dispatcher, model}, cut, std::move(drows), std::move(dnormed),
                   saved);
}

void blocks_backward_weight(Context& ctx, TokenDispatcher& dispatcher, DeepseekV3& model,
                            const StageCut& cut, StageSaved& saved) {
  AllGradients gradients{ctx, dispatcher, model};
  for (size_t k = saved.mtp.size(); k-- > 0;) {
    StageSaved::Mtp& mtp = saved.mtp[k];
    if (!mtp.has_rows()) continue;
    model.mtp[k].backward_weight(ctx, dispatcher, std::move(mtp.block));
    gradients.embedded(mtp.dembedded, mtp.tokens);
  }
  if (cut.heads) gradients.final_norm(saved.final_norm);
  for (size_t i = saved.layers.size(); i-- > 0;) {
    DecoderLayer& layer = model.layers[static_cast<size_t>(cut.first_layer) + i];
    layer.backward_weight(ctx, dispatcher, std::move(saved.layers[i]));
  }
  if (cut.embedding) gradients.embedded(saved.dx, saved.tokens);
}

}  // namespace hadal
