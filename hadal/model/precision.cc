#include "hadal/model/precision.h"

namespace hadal {
namespace {

void set_ffn(Ffn& ffn, const LinearPrecision& precision) {
  for (Linear* each : {&ffn.w_gate, &ffn.w_up, &ffn.w_down}) each->precision = precision;
}

void set_layer(DecoderLayer& layer, const ModelPrecision& precision) {
  Mla& mla = layer.attn;
  if (mla.w_dq) {
    mla.w_dq->precision = precision.attention;
    mla.q_norm->precision = precision.attention;
  }
  for (Linear* each : {&mla.w_uq, &mla.w_dkv, &mla.w_ukv, &mla.w_o}) {
    each->precision = precision.attention;
  }
  layer.attn_norm.precision = precision.attention;
  if (Moe* moe = layer.moe()) {
    for (GroupedLinear* each : {&moe->w_gate, &moe->w_up, &moe->w_down}) {
      each->precision = precision.experts;
    }
    if (moe->shared) set_ffn(*moe->shared, precision.shared);
    layer.ffn_norm.precision = precision.experts;
    // Codes are for linears that multiply codes.
    if (moe->shared && !trains_in_fp8(precision.shared.products)) {
      layer.ffn_norm.precision.norms = KeptNorms::kInputs;
    }
  } else {
    set_ffn(std::get<Ffn>(layer.ffn), precision.dense);
    layer.ffn_norm.precision = precision.dense;
  }
}

WorkingWeight working(Param& weight, const LinearPrecision& precision) {
  return {&weight, working_form(precision.products)};
}

void collect(Ffn& ffn, std::vector<WorkingWeight>& all) {
  for (Linear* each : {&ffn.w_gate, &ffn.w_up, &ffn.w_down}) {
    all.push_back(working(each->weight, each->precision));
  }
}

void collect(DecoderLayer& layer, std::vector<WorkingWeight>& all) {
  Mla& mla = layer.attn;
  if (mla.w_dq) all.push_back(working(mla.w_dq->weight, mla.w_dq->precision));
  for (Linear* each : {&mla.w_uq, &mla.w_dkv, &mla.w_ukv, &mla.w_o}) {
    all.push_back(working(each->weight, each->precision));
  }
  if (Moe* moe = layer.moe()) {
    for (GroupedLinear* each : {&moe->w_gate, &moe->w_up, &moe->w_down}) {
      for (Param& weight : each->weights) all.push_back(working(weight, each->precision));
    }
    if (moe->shared) collect(*moe->shared, all);
  } else {
    collect(std::get<Ffn>(layer.ffn), all);
  }
}

}  // namespace

void set_precision(DeepseekV3& model, const ModelPrecision& precision) {
  for (DecoderLayer& layer : model.layers) set_layer(layer, precision);
  for (MtpBlock& block : model.mtp) set_layer(block.layer, precision);
}

void set_precision(DeepseekV3& model, LinearPrecision precision) {
  set_precision(model, ModelPrecision::all(precision));
}

std::vector<WorkingWeight> working_weights(DeepseekV3& model) {
  std::vector<WorkingWeight> all;
  const auto add = [&](DecoderLayer& layer) {
    if (model.held.holds_layer(layer.index)) collect(layer, all);
  };
  for (DecoderLayer& layer : model.layers) add(layer);
  for (MtpBlock& block : model.mtp) add(block.layer);
  return all;
}

void remake_working_weights(Context& ctx, DeepseekV3& model) {
  remake_working_weights(ctx, working_weights(model));
}

}  // namespace hadal
