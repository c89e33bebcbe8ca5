// nn/decoder_layer.h: pre-norm block, x += attn(norm(x)); x += ffn_or_moe(norm(x)).
#pragma once

#include <variant>

#include "hadal/nn/mla.h"
#include "hadal/nn/moe.h"

namespace hadal {

// What all layers of one pass share.
struct Pass {
  const Sequences& sequences;
  const RopeTable& rope;
  BalanceLoss balance;
};

struct DecoderLayer {
  int index = 0;  // layer id, MTP layers counted after the main ones
  RmsNorm attn_norm;
  Mla attn;
  RmsNorm ffn_norm;
  std::variant<Ffn, Moe> ffn;

  struct Saved {
    RmsNorm::Saved attn_norm, ffn_norm;
    Mla::Saved attn;
    std::variant<Ffn::Saved, Moe::Saved> ffn;
  };
  Tensor forward(Context& ctx, Tensor x, const Pass& pass, Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, const Pass& pass, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);
  // B and W at once, half a block at a time: the same numbers in less memory.
  Tensor backward(Context& ctx, Tensor dy, const Pass& pass, Saved&& saved);

  const Moe* moe() const { return std::get_if<Moe>(&ffn); }
  Moe* moe() { return std::get_if<Moe>(&ffn); }

 private:
  Tensor ffn_backward_input(Context& ctx, Tensor dy, Saved& saved) const;
  void ffn_backward_weight(Context& ctx, Saved& saved);
  Tensor attn_backward_input(Context& ctx, Tensor dy, const Pass& pass, Saved& saved) const;
  void attn_backward_weight(Context& ctx, Saved& saved);
};

}  // namespace hadal
