#include "hadal/infer/cached_forward.h"

#include <algorithm>
#include <cstring>
#include <variant>

#include "hadal/infer/positions.h"
#include "hadal/ops/elementwise.h"
#include "hadal/ops/embedding.h"
#include "hadal/ops/gemm.h"

namespace hadal {
namespace {

Tensor embed(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens) {
  Tensor x = ctx.empty({static_cast<int64_t>(tokens.size()), model.config.d_model});
  embedding_forward(ctx, x.mat(), model.embedding.weight(), tokens);
  return x;
}

Tensor feed_forward(Context& ctx, const DecoderLayer& layer, const Tensor& x) {
  if (const Moe* moe = layer.moe()) {
    Moe::Saved saved;  // dropped: nothing is learned here
    return moe->forward(ctx, x, layer.index, Sequences::equal(1, x.dim(0)), BalanceLoss{}, saved);
  }
  return std::get<Ffn>(layer.ffn).forward(ctx, x);
}

// x += attn(norm(x)); x += ffn(norm(x))
Tensor cached_layer(Context& ctx, const DecoderLayer& layer, Tensor x, const RopeTable& rope,
                    LatentRows& cache, CachedAttention attention) {
  const Tensor u = attention(ctx, layer.attn, layer.attn_norm.forward(ctx, x), rope, cache);
  add(ctx, x.flat<float>(), u.flat<float>());
  const Tensor y = feed_forward(ctx, layer, layer.ffn_norm.forward(ctx, x));
  add(ctx, x.flat<float>(), y.flat<float>());
  return x;
}

// [left | right] row by row
Tensor beside(Context& ctx, const Tensor& left, const Tensor& right) {
  const int64_t T = left.dim(0), n_left = left.dim(1), n_right = right.dim(1);
  Tensor both = ctx.empty({T, n_left + n_right});
  for (int64_t t = 0; t < T; ++t) {
    float* to = both.mat().row(t).data();
    std::memcpy(to, left.mat().row(t).data(), static_cast<size_t>(n_left) * sizeof(float));
    std::memcpy(to + n_left, right.mat().row(t).data(),
                static_cast<size_t>(n_right) * sizeof(float));
  }
  return both;
}

// W_eh [ norm_e(embedding) ; norm_h(state) ]: what the module's layer reads.
Tensor mtp_input(Context& ctx, const DeepseekV3& model, const MtpBlock& block,
                 std::span<const int32_t> tokens, const Tensor& state) {
  const Tensor embedded = block.enorm.forward(ctx, embed(ctx, model, tokens));
  return block.w_eh.forward(ctx, beside(ctx, embedded, block.hnorm.forward(ctx, state)));
}

}  // namespace

HiddenRows cached_forward(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          const RopeTable& rope, LatentKvCache& cache, CachedAttention attention) {
  Tensor x = embed(ctx, model, tokens);
  for (size_t l = 0; l < model.layers.size(); ++l) {
    x = cached_layer(ctx, model.layers[l], std::move(x), rope, cache.layer(static_cast<int64_t>(l)),
                     attention);
  }
  Tensor normed = model.final_norm.forward(ctx, x);
  return {std::move(x), std::move(normed)};
}

HiddenRows cached_mtp_forward(Context& ctx, const DeepseekV3& model, int64_t module,
                              std::span<const int32_t> tokens, const Tensor& state,
                              const RopeTable& rope, LatentKvCache& cache,
                              CachedAttention attention) {
  const MtpBlock& block = model.mtp[static_cast<size_t>(module)];
  Tensor x = cached_layer(ctx, block.layer, mtp_input(ctx, model, block, tokens, state), rope,
                          cache.mtp(module), attention);
  Tensor normed = block.head_norm.forward(ctx, x);
  return {std::move(x), std::move(normed)};
}

void cache_mtp_rows(Context& ctx, const DeepseekV3& model, int64_t module,
                    std::span<const int32_t> tokens, const Tensor& state, const RopeTable& rope,
                    LatentKvCache& cache) {
  const MtpBlock& block = model.mtp[static_cast<size_t>(module)];
  LatentRows& rows = cache.mtp(module);
  const Tensor x = block.layer.attn_norm.forward(ctx, mtp_input(ctx, model, block, tokens, state));
  rows.append(
      block.layer.attn.latent_rows(ctx, x, rope, next_positions(rows.length(), x.dim(0))).mat());
}

Tensor last_row(Context& ctx, const Tensor& rows) {
  Tensor row = ctx.empty({1, rows.dim(1)});
  const std::span<const float> from = rows.mat().row(rows.dim(0) - 1);
  std::copy(from.begin(), from.end(), row.flat<float>().begin());
  return row;
}

Tensor head_logits(Context& ctx, const DeepseekV3& model, View<const float, 2> normed) {
  Tensor logits = ctx.empty({normed.dim(0), model.config.vocab_size});
  gemm_nt(ctx, logits.mat(), normed, model.head_param().weight());
  return logits;
}

}  // namespace hadal
