#include "hadal/model/hf_names.h"

#include <charconv>
#include <string_view>

namespace hadal {
namespace {

constexpr std::string_view kLayerPrefix = "model.layers.";
constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

constexpr std::pair<WeightClass, std::string_view> kClasses[] = {
    {WeightClass::kAttention, "attention"}, {WeightClass::kDense, "dense"},
    {WeightClass::kExperts, "experts"},     {WeightClass::kShared, "shared"},
    {WeightClass::kHead, "head"},           {WeightClass::kEmbedding, "embedding"},
    {WeightClass::kEhProj, "eh_proj"}};

std::string layer_name(int64_t index) { return concat(kLayerPrefix, index, "."); }

// Walks the whole model, counts all parameters and lists those that are held.
class Names {
 public:
  explicit Names(const HeldPart& held) : held_(held) {}
  std::vector<NamedParam> take() { return std::move(list_); }

  void at(const ParamPlace& place) { place_ = place; }
  void add(const std::string& name, Param& param, ParamKind kind) {
    if (held_.holds(place_)) {
      list_.push_back({name, &param, kind, param.master.shape(), position_, place_});
    }
    ++position_;
  }
  void matrix(const std::string& name, Param& param) { add(name, param, ParamKind::kMatrix); }
  void norm(const std::string& name, RmsNorm& layer) { add(name, layer.weight, ParamKind::kNorm); }

  void mla(const std::string& prefix, Mla& mla) {
    if (mla.w_dq) {
      matrix(prefix + "q_a_proj.weight", mla.w_dq->weight);
      norm(prefix + "q_a_layernorm.weight", *mla.q_norm);
      matrix(prefix + "q_b_proj.weight", mla.w_uq.weight);
    } else {
      matrix(prefix + "q_proj.weight", mla.w_uq.weight);
    }
    matrix(prefix + "kv_a_proj_with_mqa.weight", mla.w_dkv.weight);
    norm(prefix + "kv_a_layernorm.weight", mla.kv_norm);
    matrix(prefix + "kv_b_proj.weight", mla.w_ukv.weight);
    matrix(prefix + "o_proj.weight", mla.w_o.weight);
  }

  void gated(const std::string& prefix, Param& gate, Param& up, Param& down) {
    matrix(prefix + "gate_proj.weight", gate);
    matrix(prefix + "up_proj.weight", up);
    matrix(prefix + "down_proj.weight", down);
  }
  void ffn(const std::string& prefix, Ffn& ffn) {
    gated(prefix, ffn.w_gate.weight, ffn.w_up.weight, ffn.w_down.weight);
  }

  void moe(const std::string& prefix, Moe& moe) {
    matrix(prefix + "gate.weight", moe.w_router);
    if (moe.config.method == TopkMethod::kNoauxTc) {
      add(prefix + "gate.e_score_correction_bias", moe.route_bias, ParamKind::kRouteBias);
    }
    if (moe.slots) throw ShapeError("parameters by name: experts that moved have none");
    position_ += kMatricesOfExpert * moe.range.first;
    for (int64_t e = moe.range.first; e < moe.range.last; ++e) {
      const auto here = static_cast<size_t>(e - moe.range.first);
      place_.expert = e;
      gated(concat(prefix, "experts.", e, "."), moe.w_gate.weights[here], moe.w_up.weights[here],
            moe.w_down.weights[here]);
    }
    place_.expert = -1;
    position_ += kMatricesOfExpert * (moe.config.n_routed_experts - moe.range.last);
    if (moe.shared) ffn(prefix + "shared_experts.", *moe.shared);
  }

  void layer(DecoderLayer& layer) {
    const std::string prefix = layer_name(layer.index);
    norm(prefix + "input_layernorm.weight", layer.attn_norm);
    mla(prefix + "self_attn.", layer.attn);
    norm(prefix + "post_attention_layernorm.weight", layer.ffn_norm);
    if (Moe* experts = layer.moe()) {
      moe(prefix + "mlp.", *experts);
    } else {
      ffn(prefix + "mlp.", std::get<Ffn>(layer.ffn));
    }
  }

  void mtp(MtpBlock& block) {
    at({ParamPlace::Part::kMtp, block.layer.index});
    const std::string prefix = layer_name(block.layer.index);
    norm(prefix + "enorm.weight", block.enorm);
    norm(prefix + "hnorm.weight", block.hnorm);
    matrix(prefix + "eh_proj.weight", block.w_eh.weight);
    layer(block.layer);
    norm(prefix + "shared_head.norm.weight", block.head_norm);
  }

 private:
  static constexpr int64_t kMatricesOfExpert = 3;
  const HeldPart& held_;
  std::vector<NamedParam> list_;
  int64_t position_ = 0;
  ParamPlace place_;
};

}  // namespace

std::vector<NamedParam> named_params(DeepseekV3& model) {
  Names names(model.held);
  names.at({ParamPlace::Part::kEmbedding});
  names.matrix(kEmbedding, model.embedding);
  for (DecoderLayer& layer : model.layers) {
    names.at({ParamPlace::Part::kLayer, layer.index});
    names.layer(layer);
  }
  names.at({ParamPlace::Part::kHeads});
  names.norm("model.norm.weight", model.final_norm);
  if (!model.config.tie_word_embeddings) names.matrix(kHead, model.head);
  for (MtpBlock& block : model.mtp) names.mtp(block);
  return names.take();
}

std::string hf_scale_name(const std::string& weight_name) { return weight_name + "_scale_inv"; }

std::string quant_scale_name(const std::string& weight_name) { return weight_name + "_qscale"; }

bool hf_is_quantised(const std::string& weight_name) {
  return (weight_name.ends_with("_proj.weight") && !weight_name.ends_with(".eh_proj.weight")) ||
         weight_name.ends_with(".kv_a_proj_with_mqa.weight");
}

WeightClass hf_class_of(const std::string& name) {
  if (name.ends_with("embed_tokens.weight")) return WeightClass::kEmbedding;
  if (name == kHead || name.ends_with(".shared_head.head.weight")) return WeightClass::kHead;
  if (name.ends_with(".eh_proj.weight")) return WeightClass::kEhProj;
  if (!hf_is_quantised(name)) return WeightClass::kOther;
  if (name.find(".self_attn.") != std::string::npos) return WeightClass::kAttention;
  if (name.find(".mlp.experts.") != std::string::npos) return WeightClass::kExperts;
  if (name.find(".mlp.shared_experts.") != std::string::npos) return WeightClass::kShared;
  return WeightClass::kDense;
}

std::string_view class_name(WeightClass weight_class) {
  for (const auto& [each, name] : kClasses) {
    if (each == weight_class) return name;
  }
  return "other";
}

std::optional<WeightClass> class_from_name(std::string_view wanted) {
  for (const auto& [each, name] : kClasses) {
    if (name == wanted) return each;
  }
  return std::nullopt;
}

std::string hf_embedding_name() { return kEmbedding; }

std::string hf_head_name() { return kHead; }

std::string hf_unfused_name(const std::string& name) {
  constexpr std::string_view kExperts = ".mlp.experts.";
  const size_t at = name.find(kExperts);
  if (at == std::string::npos) return "";
  const std::string_view rest = std::string_view(name).substr(at + kExperts.size());
  const bool gate_up = rest.starts_with("gate_up_proj");
  if (!gate_up && !rest.starts_with("down_proj")) return "";
  return concat(name.substr(0, at), kExperts,
                gate_up ? "0.gate_proj.weight" : "0.down_proj.weight");
}

bool hf_is_ignored(const std::string& name) { return name.ends_with(".rotary_emb.inv_freq"); }

std::vector<HfCopy> hf_mtp_copies(const ModelConfig& config) {
  std::vector<HfCopy> copies;
  for (int64_t k = 0; k < config.n_mtp; ++k) {
    const std::string prefix = layer_name(config.n_layers + k);
    copies.push_back({prefix + "embed_tokens.weight", kEmbedding});
    copies.push_back(
        {prefix + "shared_head.head.weight", config.tie_word_embeddings ? kEmbedding : kHead});
  }
  return copies;
}

int64_t hf_layer_of(const std::string& name) {
  if (!name.starts_with(kLayerPrefix)) return -1;
  int64_t index = -1;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kLayerPrefix.size(), end, index);
  return error == std::errc() && stop != end && *stop == '.' && index >= 0 ? index : -1;
}

}  // namespace hadal
