#include "hadal/model/stage_forward.h"

#include "hadal/model/head.h"
#include "hadal/model/mtp_rows.h"

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
  output.balance.push_back(routing.balance_loss);
  output.load.push_back(std::move(routing.load));
}

}  // namespace

StageForward::StageForward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                           const StageCut& cut, Tensor rows, const StageRows& in, Keep keep,
                           StageSaved& saved)
    : ctx_(ctx),
      dispatcher_(dispatcher),
      model_(model),
      cut_(cut),
      in_(in),
      keep_(keep),
      saved_(saved) {
  check_tokens(model, in.tokens.size(), in.sequences);
  saved.pass = Pass::over(in.sequences, model.rope, in.balance);
  saved.pass.recompute = in.recompute;
  saved.tokens.assign(in.tokens.begin(), in.tokens.end());
  saved.per_target = in.per_target;
  saved.layers.resize(static_cast<size_t>(cut.n_layers()));
  if (cut.heads && cut.mtp) saved.mtp.resize(model.mtp.size());
  x_ = cut.embedding ? embed(ctx, model, in.tokens) : std::move(rows);
}

StageForward::Block StageForward::block() {
  if (block_ < n_layers()) {
    return {model_.layers[static_cast<size_t>(cut_.first_layer) + block_], saved_.pass,
            saved_.layers[block_]};
  }
  const size_t k = block_ - n_layers();
  return {model_.mtp[k].layer, saved_.mtp[k].pass, saved_.mtp[k].block.layer};
}

std::string_view StageForward::phase() const {
  switch (next_) {
    case Next::kBlock:
      return "attention";
    case Next::kExperts:
      return "experts";
    case Next::kCombine:
      return "combine";
    case Next::kNothing:
      break;
  }
  return "";
}

bool StageForward::ready() {
  if (next_ == Next::kBlock) return true;
  const Block here = block();
  return here.layer.arrived(ctx_, dispatcher_, here.saved);
}

void StageForward::step() {
  if (next_ == Next::kExperts) {
    const Block here = block();
    here.layer.experts(ctx_, dispatcher_, here.pass, here.saved);
    next_ = Next::kCombine;
    return;
  }
  if (next_ == Next::kCombine) finish_block();
  while (true) {
    if (in_layers_ && block_ == n_layers()) leave_layers();
    if (block_ == n_layers() + saved_.mtp.size()) break;
    if (begin_block()) return;
  }
  next_ = Next::kNothing;
}

// Whether rows are on their way now; if not, the block is behind us.
bool StageForward::begin_block() {
  Tensor x = in_layers_ ? std::move(x_) : enter_mtp(block_ - n_layers());
  if (!in_layers_ && !x.has_data()) {
    leave_mtp(block_ - n_layers(), {});
    note_routing(block().layer, {}, output_);
    ++block_;
    return false;
  }
  const Block here = block();
  TrainingAttention attention(here.pass);
  here.layer.attention(ctx_, attention, std::move(x), here.saved);
  here.layer.dispatch(ctx_, dispatcher_, here.pass, here.saved);
  if (here.layer.moe()) {
    next_ = Next::kExperts;
    return true;
  }
  here.layer.experts(ctx_, dispatcher_, here.pass, here.saved);
  finish_block();
  return false;
}

void StageForward::finish_block() {
  const Block here = block();
  auto [hidden, routing] = here.layer.combine(ctx_, dispatcher_, here.saved);
  if (in_layers_) {
    x_ = std::move(hidden);
    offer(ctx_, "hidden", here.layer.index, x_);
    if (keep_ == Keep::kNothing) here.saved = {};
  } else {
    leave_mtp(block_ - n_layers(), std::move(hidden));
  }
  note_routing(here.layer, std::move(routing), output_);
  ++block_;
}

void StageForward::leave_layers() {
  in_layers_ = false;
  if (!cut_.heads) {
    output_.rows = std::move(x_);
    return;
  }
  Tensor normed = model_.final_norm.forward(ctx_, x_, saved_.final_norm);
  offer(ctx_, "final_norm", -1, normed);
  saved_.head = {.normed = normed.share(), .targets = {in_.targets.begin(), in_.targets.end()}};
  if (model_.config.mtp_hidden == MtpHidden::kPostNorm) x_ = std::move(normed);
  if (saved_.mtp.empty()) x_ = {};
}

// What the module's layer reads; no data where it has no row.
Tensor StageForward::enter_mtp(size_t k) {
  StageSaved::Mtp& mtp = saved_.mtp[k];
  const Sequences& from = k > 0 ? saved_.mtp[k - 1].pass.sequences : saved_.pass.sequences;
  mtp.pass = Pass::over(shortened(from), model_.rope, in_.balance);
  mtp.pass.recompute = in_.recompute;
  mtp.head.weight = in_.mtp_weight;
  if (!mtp.has_rows()) return {};
  const Sequences& to = mtp.pass.sequences;
  const auto depth = static_cast<int64_t>(k) + 1;
  mtp.tokens = shifted_ids(in_.tokens, in_.sequences, to, depth);
  if (!in_.targets.empty()) mtp.head.targets = shifted_ids(in_.targets, in_.sequences, to, depth);
  const Tensor state = std::move(x_);
  return model_.mtp[k].combine(ctx_, embed(ctx_, model_, mtp.tokens),
                               leading_rows(ctx_, state, from, to), mtp.block);
}

void StageForward::leave_mtp(size_t k, Tensor hidden) {
  const MtpBlock& block = model_.mtp[k];
  StageSaved::Mtp& mtp = saved_.mtp[k];
  if (hidden.has_data()) {
    offer(ctx_, "mtp.hidden", block.layer.index, hidden);
    mtp.head.normed = block.head_norm.forward(ctx_, hidden, mtp.block.head_norm);
  }
  if (keep_ == Keep::kNothing) mtp.block = {};
  x_ = model_.config.mtp_hidden == MtpHidden::kPostNorm ? mtp.head.normed.share()
                                                        : std::move(hidden);
}

StageOutput StageForward::output() { return std::move(output_); }

StageOutput StageForward::run() {
  while (!done()) step();
  return output();
}

}  // namespace hadal
