// One micro-batch through the model and back (spec 01 sections 7 and 8; golden conventions "Loss").
// The three separate steps serve pipeline schedules, forward_backward serves one device; both walk
// the same blocks with the same functions.
#include <algorithm>

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/head.h"
#include "hadal/model/mtp_rows.h"
#include "hadal/ops/elementwise.h"
#include "hadal/ops/embedding.h"

namespace hadal {
namespace {

BalanceLoss balance_of(const MicroBatch& batch, const LossWeights& weights) {
  const auto share =
      static_cast<float>(static_cast<double>(batch.n_sequences) /
                         static_cast<double>(std::max<int64_t>(batch.batch_sequences, 1)));
  return {weights.balance, share, weights.balance_count, true};
}

double per_token(const MicroBatch& batch) {
  return 1.0 / static_cast<double>(std::max<int64_t>(batch.batch_tokens, 1));
}

// What one head adds to the loss: its rows, their targets and its weight in the total.
struct HeadPart {
  const Tensor& normed;
  std::span<const int32_t> targets;
  double weight;
  double& loss;
};

std::vector<HeadPart> head_parts(const MicroBatch& batch, const LossWeights& weights,
                                 const TrainingSaved& saved, LossParts& loss) {
  std::vector<HeadPart> parts{{saved.final_hidden, batch.targets, 1.0, loss.ce}};
  const double mtp_weight = double{weights.mtp} / static_cast<double>(saved.mtp.size());
  for (size_t k = 0; k < saved.mtp.size(); ++k) {
    const TrainingSaved::Mtp& mtp = saved.mtp[k];
    if (mtp.normed.has_data()) parts.push_back({mtp.normed, mtp.targets, mtp_weight, loss.mtp[k]});
  }
  return parts;
}

void note_experts(const DecoderLayer& layer, const DecoderLayer::Saved& saved, LossParts& loss,
                  std::vector<std::vector<int64_t>>& load) {
  load.emplace_back();
  if (!layer.moe()) return;
  load.back().resize(layer.moe()->experts.size(), 0);
  if (const auto* moe = std::get_if<Moe::Saved>(&saved.ffn)) {  // absent: no row reached the layer
    load.back() = moe->load;
    loss.balance += moe->balance_loss;
  }
}

// Everything below the heads: fills saved but for the logits, and loss.balance.
void forward_blocks(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                    const LossWeights& weights, TrainingSaved& saved, LossParts& loss) {
  saved.sequences = Sequences::equal(batch.n_sequences, batch.length);
  check_tokens(model, batch.tokens.size(), saved.sequences);
  const BalanceLoss balance = balance_of(batch, weights);
  Tensor x = embed(ctx, model, batch.tokens);
  saved.layers.resize(model.layers.size());
  for (size_t i = 0; i < model.layers.size(); ++i) {
    x = model.layers[i].forward(ctx, std::move(x), {saved.sequences, model.rope, balance},
                                saved.layers[i]);
    note_experts(model.layers[i], saved.layers[i], loss, saved.load);
  }
  saved.final_hidden = model.final_norm.forward(ctx, x, saved.final_norm);

  const bool post_norm = model.config.mtp_hidden == MtpHidden::kPostNorm;
  Tensor state = post_norm ? saved.final_hidden.share() : std::move(x);
  saved.mtp.resize(model.mtp.size());
  loss.mtp.assign(model.mtp.size(), 0.0);
  const Sequences* from = &saved.sequences;
  for (size_t k = 0; k < model.mtp.size(); ++k) {
    TrainingSaved::Mtp& mtp = saved.mtp[k];
    const auto depth = static_cast<int64_t>(k) + 1;
    mtp.sequences = shortened(*from);
    if (mtp.sequences.tokens() > 0) {
      mtp.tokens = shifted_ids(batch.tokens, saved.sequences, mtp.sequences, depth);
      mtp.targets = shifted_ids(batch.targets, saved.sequences, mtp.sequences, depth);
      MtpBlock::Output out = model.mtp[k].forward(ctx, embed(ctx, model, mtp.tokens),
                                                  leading_rows(ctx, state, *from, mtp.sequences),
                                                  {mtp.sequences, model.rope, balance}, mtp.block);
      mtp.normed = out.normed.share();
      state = post_norm ? std::move(out.normed) : std::move(out.hidden);
    }
    note_experts(model.mtp[k].layer, mtp.block.layer, loss, saved.load);
    from = &mtp.sequences;
  }
}

// The way back from the heads' inputs to the embedding, last block first. dnormed[0] belongs to the
// main head, dnormed[k] to depth k. With a `learner` (the same model) each block's W follows its B
// at once and its Saved dies there; without, Saved is made ready for backward_weight.
void backward_blocks(Context& ctx, const DeepseekV3& model, DeepseekV3* learner,
                     const MicroBatch& batch, TrainingSaved& saved, std::vector<Tensor> dnormed) {
  const bool post_norm = model.config.mtp_hidden == MtpHidden::kPostNorm;
  const Pass pass{saved.sequences, model.rope, {}};
  Tensor dhidden;  // gradient of the last block's output past the final norm, pre_norm only
  // Takes the gradient of depth k's state (k = 0: the main model's) to where that state came from.
  const auto hand_down = [&](Tensor& dnormed_k, Tensor& dhidden_k, const Tensor& dstate,
                             const Sequences& from, const Sequences& to) {
    if (!post_norm) dhidden_k = ctx.zeros(dnormed_k.shape());
    leading_rows_backward(ctx, post_norm ? dnormed_k : dhidden_k, dstate, from, to);
  };
  Tensor dhidden_k;
  for (size_t k = model.mtp.size(); k-- > 0;) {
    TrainingSaved::Mtp& mtp = saved.mtp[k];
    if (mtp.sequences.tokens() == 0) continue;
    const Pass mtp_pass{mtp.sequences, model.rope, {}};
    MtpBlock::InputGradient gradient =
        learner ? learner->mtp[k].backward(ctx, std::move(dnormed[k + 1]), std::move(dhidden_k),
                                           mtp_pass, std::move(mtp.block))
                : model.mtp[k].backward_input(ctx, std::move(dnormed[k + 1]), std::move(dhidden_k),
                                              mtp_pass, mtp.block);
    mtp.dembedded = std::move(gradient.embedded);
    if (learner) {
      embedding_backward_weight(ctx, learner->embedding.grad.mat(),
                                std::as_const(mtp.dembedded).mat(), mtp.tokens);
      mtp.dembedded = {};
    }
    const Sequences& from = k > 0 ? saved.mtp[k - 1].sequences : saved.sequences;
    dhidden_k = {};
    hand_down(dnormed[k], k > 0 ? dhidden_k : dhidden, gradient.state, from, mtp.sequences);
  }

  Tensor dx;
  if (dhidden.has_data()) {
    dx = std::move(dhidden);
    model.final_norm.backward_input_add(ctx, dx, std::move(dnormed[0]), saved.final_norm);
  } else {
    dx = model.final_norm.backward_input(ctx, std::move(dnormed[0]), saved.final_norm);
  }
  if (learner) learner->final_norm.backward_weight(ctx, std::move(saved.final_norm));
  for (size_t i = model.layers.size(); i-- > 0;) {
    dx = learner ? learner->layers[i].backward(ctx, std::move(dx), pass, std::move(saved.layers[i]))
                 : model.layers[i].backward_input(ctx, std::move(dx), pass, saved.layers[i]);
  }
  saved.dx = std::move(dx);
  if (learner) {
    embedding_backward_weight(ctx, learner->embedding.grad.mat(), std::as_const(saved.dx).mat(),
                              batch.tokens);
    saved.dx = {};
  }
}

// Loss and gradients of one head in chunks of rows: [T,V] logits never exist. Returns dnormed.
Tensor head_at_once(Context& ctx, DeepseekV3& model, const HeadPart& part, double scale) {
  const int64_t n_rows = part.normed.dim(0);
  Tensor dnormed = ctx.empty(part.normed.shape());
  for (int64_t begin = 0; begin < n_rows; begin += kHeadChunkRows) {
    const int64_t end = std::min(begin + kHeadChunkRows, n_rows);
    Tensor logits = ctx.empty({end - begin, model.config.vocab_size});
    const View<const float, 2> normed = part.normed.mat().rows(begin, end);
    head_forward(ctx, logits.mat(), model, normed);
    part.loss += head_loss(
        ctx, logits.mat(),
        part.targets.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), scale,
        static_cast<float>(part.weight * scale));
    head_backward_input(ctx, dnormed.mat().rows(begin, end), model, std::as_const(logits).mat());
    head_backward_weight(ctx, model, std::as_const(logits).mat(), normed);
  }
  return dnormed;
}

}  // namespace

LossParts forward_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                       const LossWeights& weights, TrainingSaved& saved) {
  LossParts loss;
  forward_blocks(ctx, model, batch, weights, saved, loss);
  const double scale = per_token(batch);
  std::vector<Tensor> dlogits;
  for (const HeadPart& part : head_parts(batch, weights, saved, loss)) {
    Tensor logits = ctx.empty({part.normed.dim(0), model.config.vocab_size});
    head_forward(ctx, logits.mat(), model, part.normed.mat());
    part.loss +=
        head_loss(ctx, logits.mat(), part.targets, scale, static_cast<float>(part.weight * scale));
    dlogits.push_back(std::move(logits));
  }
  saved.dlogits = std::move(dlogits[0]);
  for (size_t k = 1; k < dlogits.size(); ++k) saved.mtp[k - 1].dlogits = std::move(dlogits[k]);
  return loss;
}

void backward_input(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                    TrainingSaved& saved) {
  const auto through_head = [&](const Tensor& dlogits) {
    Tensor dnormed = ctx.empty({dlogits.dim(0), model.config.d_model});
    head_backward_input(ctx, dnormed.mat(), model, dlogits.mat());
    return dnormed;
  };
  std::vector<Tensor> dnormed;
  dnormed.push_back(through_head(saved.dlogits));
  for (const TrainingSaved::Mtp& mtp : saved.mtp) {
    dnormed.push_back(mtp.dlogits.has_data() ? through_head(mtp.dlogits) : Tensor());
  }
  backward_blocks(ctx, model, nullptr, batch, saved, std::move(dnormed));
}

void backward_weight(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                     TrainingSaved&& saved) {
  TrainingSaved consumed = std::move(saved);
  head_backward_weight(ctx, model, std::as_const(consumed.dlogits).mat(),
                       std::as_const(consumed.final_hidden).mat());
  consumed.dlogits = {};
  for (TrainingSaved::Mtp& mtp : consumed.mtp) {
    if (!mtp.dlogits.has_data()) continue;
    head_backward_weight(ctx, model, std::as_const(mtp.dlogits).mat(),
                         std::as_const(mtp.normed).mat());
    mtp.dlogits = {};
  }
  const View<float, 2> dembedding = model.embedding.grad.mat();
  for (size_t k = model.mtp.size(); k-- > 0;) {
    TrainingSaved::Mtp& mtp = consumed.mtp[k];
    if (mtp.sequences.tokens() == 0) continue;
    model.mtp[k].backward_weight(ctx, std::move(mtp.block));
    embedding_backward_weight(ctx, dembedding, std::as_const(mtp.dembedded).mat(), mtp.tokens);
  }
  model.final_norm.backward_weight(ctx, std::move(consumed.final_norm));
  for (size_t i = model.layers.size(); i-- > 0;) {
    model.layers[i].backward_weight(ctx, std::move(consumed.layers[i]));
  }
  embedding_backward_weight(ctx, dembedding, std::as_const(consumed.dx).mat(), batch.tokens);
}

LossParts forward_backward(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                           const LossWeights& weights, ExpertLoad& load) {
  LossParts loss;
  TrainingSaved saved;
  forward_blocks(ctx, model, batch, weights, saved, loss);
  std::vector<Tensor> dnormed(1 + model.mtp.size());
  size_t next = 0;
  for (const HeadPart& part : head_parts(batch, weights, saved, loss)) {
    dnormed[next++] = head_at_once(ctx, model, part, per_token(batch));
  }
  saved.final_hidden = {};
  for (TrainingSaved::Mtp& mtp : saved.mtp) mtp.normed = {};
  backward_blocks(ctx, model, &model, batch, saved, std::move(dnormed));

  load.resize(saved.load.size());
  for (size_t layer = 0; layer < load.size(); ++layer) {
    load[layer].resize(saved.load[layer].size(), 0);
    for (size_t e = 0; e < load[layer].size(); ++e) load[layer][e] += saved.load[layer][e];
  }
  return loss;
}

}  // namespace hadal
