#include "hadal/infer/cached_forward.h"

#include "hadal/model/head.h"

namespace hadal {
namespace {

// Behind a cache nothing is learned: nobody asks for a loss, and Saved is dropped layer by layer.
Tensor layer_forward(Context& ctx, const DecoderLayer& layer, AttentionForm& attention,
                     PassTurns& turns, TokenDispatcher& dispatcher, Tensor x) {
  DecoderLayer::Saved dropped;
  DecoderLayer::Output out =
      layer.forward(ctx, attention, dispatcher, std::move(x), Pass{}, dropped);
  if (layer.moe() != nullptr) turns.routed(layer.index, out.routing);
  return std::move(out.hidden);
}

}  // namespace

HiddenRows cached_forward(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          AttentionForm& attention, PassTurns& turns) {
  TokenDispatcher& dispatcher = turns.begin(ctx, PassTurns::kMain);
  Tensor x = embed(ctx, model, tokens);
  for (const DecoderLayer& layer : model.layers) {
    x = layer_forward(ctx, layer, attention, turns, dispatcher, std::move(x));
  }
  RmsNorm::Saved dropped;
  Tensor normed = model.final_norm.forward(ctx, x, dropped);
  return {std::move(x), std::move(normed)};
}

HiddenRows cached_mtp_forward(Context& ctx, const DeepseekV3& model, int64_t module,
                              std::span<const int32_t> tokens, const Tensor& state,
                              AttentionForm& attention, PassTurns& turns) {
  const MtpBlock& block = model.mtp[static_cast<size_t>(module)];
  TokenDispatcher& dispatcher = turns.begin(ctx, static_cast<int>(module) + 1);
  MtpBlock::Saved dropped;
  MtpBlock::Output out =
      block.forward(ctx, attention, dispatcher, embed(ctx, model, tokens), state, Pass{}, dropped);
  if (block.layer.moe() != nullptr) turns.routed(block.layer.index, out.routing);
  return {std::move(out.hidden), std::move(out.normed)};
}

void cache_mtp_rows(Context& ctx, const DeepseekV3& model, int64_t module,
                    std::span<const int32_t> tokens, const Tensor& state,
                    std::span<const BatchShare> shares) {
  const MtpBlock& block = model.mtp[static_cast<size_t>(module)];
  const Mla& mla = block.layer.attn;
  const int64_t layer = block.layer.index;
  MtpBlock::Saved dropped;
  const Tensor x = block.layer.attn_norm.forward(
      ctx, block.combine(ctx, embed(ctx, model, tokens), state, dropped), dropped.layer.attn_norm);
  std::vector<int32_t> positions;
  append_positions(positions, shares, layer);
  const Tensor rows = mla.latent_rows(ctx, mla.w_dkv.input(ctx, x), model.rope, positions);
  cache_latents(ctx, rows.mat(), 0, shares, layer);
}

Tensor picked_rows(Context& ctx, const Tensor& rows, std::span<const RowRange> picks) {
  int64_t n = 0;
  for (const RowRange& pick : picks) n += pick.n;
  Tensor picked = ctx.empty({n, rows.dim(1)});
  copy_row_ranges(ctx, picked.mat(), rows.mat(), picks);
  return picked;
}

Tensor last_row(Context& ctx, const Tensor& rows) {
  const RowRange last{.to = 0, .from = rows.dim(0) - 1, .n = 1};
  return picked_rows(ctx, rows, {&last, 1});
}

}  // namespace hadal
