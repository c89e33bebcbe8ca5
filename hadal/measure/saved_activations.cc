#include "hadal/measure/saved_activations.h"

#include <set>

#include "hadal/measure/random_operand.h"

namespace hadal {
namespace {

// Adds up what one layer's Saved holds; elements that were met before count no more.
class Account {
 public:
  explicit Account(int64_t tokens) : tokens_(static_cast<double>(tokens)) {}

  SavedBytes of(const DecoderLayer::Saved& saved) {
    bytes_.clear();
    of_norm(saved.attn_norm, "norm_inputs");
    of_norm(saved.ffn_norm, "norm_inputs");
    of_attention(saved.attn);
    if (const auto* moe = std::get_if<Moe::Saved>(&saved.ffn)) {
      of_moe(*moe);
    } else {
      of_ffn(std::get<Ffn::Saved>(saved.ffn));
    }
    return std::move(bytes_);
  }

 private:
  void add(const char* what, const void* id, int64_t bytes) {
    if (bytes > 0 && met_.insert(id).second) bytes_[what] += static_cast<double>(bytes) / tokens_;
  }
  void add(const char* what, const Tensor& x) { add(what, x.raw(), x.has_data() ? x.bytes() : 0); }
  void add(const char* what, const KeptRows& x) { add(what, x.id(), x.bytes()); }
  void add(const char* what, const LinearInput& x) { add(what, x.id(), x.bytes()); }

  void of_norm(const RmsNorm::Saved& saved, const char* what) {
    add(what, saved.x);
    add("norm_outputs", saved.y);
    add("norm_statistics", saved.r);
  }
  void of_attention(const Mla::Saved& saved) {
    of_norm(saved.q_norm, "latents");
    add("latents", saved.latent);
    add("norm_outputs", saved.c_kv);
    add("norm_statistics", saved.kv_norm_r);
    add("attention_output", saved.o);
    add("attention_output", saved.w_o.x);
    add("softmax", saved.lse);
    for (const Linear::Saved* each : {&saved.w_dq, &saved.w_uq, &saved.w_dkv, &saved.w_ukv}) {
      add("linear_inputs", each->x);
    }
    add("up_projections", saved.q);
    add("up_projections", saved.kv);
  }
  void of_ffn(const Ffn::Saved& saved) {
    add("linear_inputs", saved.w_gate.x);
    add("linear_inputs", saved.w_up.x);
    add("swiglu_inputs", saved.gate);
    add("swiglu_inputs", saved.up);
    add("swiglu_outputs", saved.w_down.x);
  }
  void of_moe(const Moe::Saved& saved) {
    add("linear_inputs", saved.x);
    add("linear_inputs", saved.tokens);
    add("swiglu_inputs", saved.gate);
    add("swiglu_inputs", saved.up);
    add("swiglu_outputs", saved.h);
    for (const Tensor* each : {&saved.scores, &saved.gates, &saved.indices}) {
      add("routing", *each);
    }
    const ExpertRows& rows = saved.dispatch.rows;
    add("routing", rows.token_of.data(), std::ssize(rows.token_of) * int64_t{sizeof(int32_t)});
    add("routing", rows.row_of.data(), std::ssize(rows.row_of) * int64_t{sizeof(int32_t)});
    of_ffn(saved.shared);
  }

  double tokens_;
  SavedBytes bytes_;
  std::set<const void*> met_;
};

}  // namespace

SavedBytes SavedActivations::by_what() const {
  SavedBytes result;
  for (const SavedBytes& layer : layers) {
    for (const auto& [what, bytes] : layer) result[what] += bytes;
  }
  return result;
}

double SavedActivations::total() const {
  double result = 0.0;
  for (const auto& [what, bytes] : by_what()) result += bytes;
  return result;
}

SavedActivations saved_activations(Context& ctx, const DeepseekV3& model, int64_t tokens,
                                   uint64_t seed, const RecomputePolicy& recompute) {
  constexpr float kAlpha = 1e-4F;
  Pass pass = Pass::over(Sequences::equal(1, tokens), model.rope,
                         {.alpha = kAlpha, .loss_scale = 1.0F, .count = {}, .on = true});
  pass.recompute = recompute;
  TrainingAttention attention(pass);
  LocalDispatcher dispatcher;
  std::vector<DecoderLayer::Saved> saved(model.layers.size());
  Tensor x = random_operand(ctx, {tokens, model.config.d_model}, seed);
  ctx.arena.trim();  // no larger block serves for a smaller one
  const int64_t before = ctx.arena.bytes_in_use() - x.bytes();
  for (size_t i = 0; i < saved.size(); ++i) {
    x = model.layers[i].forward(ctx, attention, dispatcher, std::move(x), pass, saved[i]).hidden;
  }
  x = {};
  SavedActivations result;
  result.arena_bytes =
      static_cast<double>(ctx.arena.bytes_in_use() - before) / static_cast<double>(tokens);
  Account account(tokens);
  for (const DecoderLayer::Saved& layer : saved) result.layers.push_back(account.of(layer));
  return result;
}

}  // namespace hadal
