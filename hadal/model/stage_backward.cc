#include "hadal/model/stage_backward.h"

#include "hadal/model/head.h"
#include "hadal/model/mtp_rows.h"
#include "hadal/ops/embedding.h"

namespace hadal {
namespace {

void embedding_backward(Context& ctx, DeepseekV3& model, Tensor& dx,
                        std::span<const int32_t> tokens) {
  embedding_backward_weight(ctx, model.embedding.grad.mat(), std::as_const(dx).mat(), tokens);
  dx = {};
}

void head_weight(Context& ctx, DeepseekV3& model, HeadRows& head, double per_target) {
  head_losses(ctx, model, head, per_target,
              [&](View<const float, 2> dlogits, int64_t begin, int64_t end) {
                head_backward_weight(ctx, model, dlogits,
                                     std::as_const(head.normed).mat().rows(begin, end));
              });
  head.normed = {};
}

}  // namespace

StageBackward::StageBackward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                             DeepseekV3* trained, const StageCut& cut, Tensor drows,
                             StageSaved& saved, TakeWeightWork later)
    : ctx_(ctx),
      dispatcher_(dispatcher),
      model_(model),
      trained_(trained),
      cut_(cut),
      saved_(saved),
      next_(cut.heads ? Next::kHeads : Next::kBlock),
      block_(saved.layers.size() + saved.mtp.size()),
      in_layers_(!cut.heads),
      later_(std::move(later)),
      dx_(std::move(drows)),
      dhidden_(saved.mtp.size() + 1) {}

StageBackward::Block StageBackward::block() {
  if (block_ <= n_layers()) {
    const size_t layer = static_cast<size_t>(cut_.first_layer) + block_ - 1;
    return {model_.layers[layer], trained_ ? &trained_->layers[layer] : nullptr, saved_.pass,
            saved_.layers[block_ - 1]};
  }
  const size_t k = block_ - 1 - n_layers();
  return {model_.mtp[k].layer, trained_ ? &trained_->mtp[k].layer : nullptr, saved_.mtp[k].pass,
          saved_.mtp[k].block.layer};
}

std::string_view StageBackward::phase() const {
  switch (next_) {
    case Next::kHeads:
      return "heads backward";
    case Next::kBlock:
      return "combine backward";
    case Next::kExperts:
      return "experts backward";
    case Next::kDispatch:
      return "dispatch backward";
    case Next::kNothing:
      break;
  }
  return "";
}

bool StageBackward::ready() {
  if (next_ != Next::kExperts && next_ != Next::kDispatch) return true;
  const Block here = block();
  return here.layer.arrived(ctx_, dispatcher_, here.saved);
}

void StageBackward::step() {
  if (next_ == Next::kExperts) {
    const Block here = block();
    here.layer.experts_backward(ctx_, dispatcher_, here.pass, here.saved);
    next_ = Next::kDispatch;
    return;
  }
  if (next_ == Next::kHeads) heads();
  if (next_ == Next::kDispatch) finish_block();
  while (true) {
    if (!in_layers_ && block_ == n_layers()) enter_layers();
    if (block_ == 0) break;
    if (begin_block()) return;
  }
  leave_layers();
  next_ = Next::kNothing;
}

Tensor StageBackward::head(const HeadRows& head, double& loss) {
  if (!head.normed.has_data()) return {};
  Tensor dnormed = ctx_.empty(head.normed.shape());
  loss = head_losses(ctx_, model_, head, saved_.per_target,
                     [&](View<const float, 2> dlogits, int64_t begin, int64_t end) {
                       head_backward_input(ctx_, dnormed.mat().rows(begin, end), model_, dlogits);
                       if (trained_) {
                         head_backward_weight(ctx_, *trained_, dlogits,
                                              head.normed.mat().rows(begin, end));
                       }
                     });
  return dnormed;
}

void StageBackward::heads() {
  output_.loss.mtp.assign(saved_.mtp.size(), 0.0);
  dnormed_.push_back(head(saved_.head, output_.loss.ce));
  for (size_t k = 0; k < saved_.mtp.size(); ++k) {
    dnormed_.push_back(head(saved_.mtp[k].head, output_.loss.mtp[k]));
  }
  if (!trained_) return;
  saved_.head.normed = {};
  for (StageSaved::Mtp& mtp : saved_.mtp) mtp.head.normed = {};
}

// Whether gradients are on their way now; if not, the block is behind us.
bool StageBackward::begin_block() {
  Tensor dy = in_layers_ ? std::move(dx_) : enter_mtp(block_ - 1 - n_layers());
  if (!in_layers_ && !dy.has_data()) {
    --block_;
    return false;
  }
  const Block here = block();
  here.layer.combine_backward(ctx_, dispatcher_, std::move(dy), here.saved);
  if (here.layer.moe()) {
    next_ = Next::kExperts;
    return true;
  }
  here.layer.experts_backward(ctx_, dispatcher_, here.pass, here.saved);
  finish_block();
  return false;
}

void StageBackward::finish_block() {
  const Block here = block();
  here.layer.dispatch_backward(ctx_, dispatcher_, here.saved);
  if (here.trained && !later_) here.trained->ffn_backward_weight(ctx_, here.saved);
  Tensor dx = here.layer.attention_backward(ctx_, here.pass, here.saved);
  if (here.trained) finish_weights(here);
  if (in_layers_) {
    dx_ = std::move(dx);
  } else {
    leave_mtp(block_ - 1 - n_layers(), std::move(dx));
  }
  --block_;
}

void StageBackward::finish_weights(const Block& here) {
  if (later_) {
    const auto saved = std::make_shared<DecoderLayer::Saved>(std::move(here.saved));
    later_(here.layer.index,
           [&ctx = ctx_, layer = here.trained, saved] { layer->ffn_backward_weight(ctx, *saved); });
    later_(here.layer.index, [&ctx = ctx_, layer = here.trained, saved] {
      layer->attn_backward_weight(ctx, *saved);
    });
  } else {
    here.trained->attn_backward_weight(ctx_, here.saved);
  }
  here.saved = {};
}

// The gradient of what the module's layer gave; no data where it has no row.
Tensor StageBackward::enter_mtp(size_t k) {
  StageSaved::Mtp& mtp = saved_.mtp[k];
  if (!mtp.has_rows()) return {};
  Tensor dy = model_.mtp[k].head_backward_input(ctx_, std::move(dnormed_[k + 1]),
                                                std::move(dhidden_[k + 1]), mtp.block);
  if (trained_) trained_->mtp[k].head_norm.backward_weight(ctx_, std::move(mtp.block.head_norm));
  return dy;
}

// The gradient of the state goes to where that state came from.
void StageBackward::leave_mtp(size_t k, Tensor dx) {
  StageSaved::Mtp& mtp = saved_.mtp[k];
  MtpBlock::InputGradient gradient =
      model_.mtp[k].combine_backward_input(ctx_, std::move(dx), mtp.block);
  mtp.dembedded = std::move(gradient.embedded);
  if (trained_) {
    trained_->mtp[k].combine_backward_weight(ctx_, mtp.block);
    embedding_backward(ctx_, *trained_, mtp.dembedded, mtp.tokens);
  }
  const bool post_norm = model_.config.mtp_hidden == MtpHidden::kPostNorm;
  if (!post_norm) dhidden_[k] = ctx_.zeros(dnormed_[k].shape());
  const Sequences& from = k > 0 ? saved_.mtp[k - 1].pass.sequences : saved_.pass.sequences;
  leading_rows_backward(ctx_, post_norm ? dnormed_[k] : dhidden_[k], gradient.state, from,
                        mtp.pass.sequences);
}

void StageBackward::enter_layers() {
  in_layers_ = true;
  if (dhidden_[0].has_data()) {
    dx_ = std::move(dhidden_[0]);
    model_.final_norm.backward_input_add(ctx_, dx_, std::move(dnormed_[0]), saved_.final_norm);
  } else {
    dx_ = model_.final_norm.backward_input(ctx_, std::move(dnormed_[0]), saved_.final_norm);
  }
  if (trained_) trained_->final_norm.backward_weight(ctx_, std::move(saved_.final_norm));
}

void StageBackward::leave_layers() {
  if (!cut_.embedding) {
    output_.rows = std::move(dx_);
    return;
  }
  saved_.dx = std::move(dx_);
  if (trained_) embedding_backward(ctx_, *trained_, saved_.dx, saved_.tokens);
}

StageGradient StageBackward::output() { return std::move(output_); }

StageGradient StageBackward::run() {
  while (!done()) step();
  return output();
}

void stage_backward_weight(Context& ctx, DeepseekV3& model, const StageCut& cut,
                           StageSaved&& saved) {
  StageSaved consumed = std::move(saved);
  if (cut.heads) head_weight(ctx, model, consumed.head, consumed.per_target);
  for (StageSaved::Mtp& mtp : consumed.mtp) {
    if (mtp.has_rows()) head_weight(ctx, model, mtp.head, consumed.per_target);
  }
  for (size_t k = consumed.mtp.size(); k-- > 0;) {
    StageSaved::Mtp& mtp = consumed.mtp[k];
    if (!mtp.has_rows()) continue;
    model.mtp[k].backward_weight(ctx, std::move(mtp.block));
    embedding_backward(ctx, model, mtp.dembedded, mtp.tokens);
  }
  if (cut.heads) model.final_norm.backward_weight(ctx, std::move(consumed.final_norm));
  for (size_t i = consumed.layers.size(); i-- > 0;) {
    DecoderLayer& layer = model.layers[static_cast<size_t>(cut.first_layer) + i];
    layer.backward_weight(ctx, std::move(consumed.layers[i]));
  }
  if (cut.embedding) embedding_backward(ctx, model, consumed.dx, consumed.tokens);
}

}  // namespace hadal
