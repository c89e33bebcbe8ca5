// nn/moe.h: router, routed experts and shared expert (report eq. 12-16; spec 01 section 7).
//
//   y = FFN_shared(x) + sum_{i in chosen} g_i FFN_i(x)        no token is ever dropped
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "hadal/nn/ffn.h"
#include "hadal/ops/permute.h"
#include "hadal/ops/router.h"

namespace hadal {

struct Expert {
  Param w_gate, w_up, w_down;  // [f,d], [f,d], [d,f]
};

// What a forward pass needs to know about the balance loss.
struct BalanceLoss {
  float alpha = 0.0F;       // weight of its gradient
  float loss_scale = 1.0F;  // share of this micro-batch's sequences in the batch
  BalanceCount count = BalanceCount::kUnbiasedTopK;
  bool on = false;  // inference leaves it out altogether
};

struct Moe {
  RouterConfig config;
  Param w_router;    // [E, d]
  Param route_bias;  // [E], no gradient, moved by update_route_bias; without data unless noaux_tc
  std::vector<Expert> experts;
  std::optional<Ffn> shared;

  struct Saved {
    Tensor x;                                // [T,d]
    Tensor scores, dscores, gates, indices;  // [T,E], [T,E] balance part, [T,K], I32 [T,K]
    ExpertRows rows;
    Tensor gate, up;  // [R,f]
    Ffn::Saved shared;
    Tensor dlogits, dgate, dup, dy;  // written by backward_input; dy [T,d]
    double balance_loss = 0.0;       // loss_scale * sum_i f_i P_i, alpha not included
    std::vector<int64_t> load;       // [E] tokens per expert in this pass
    // The input may be dropped after forward and handed back before backward_input.
    void drop_input();
    void restore_input(const Tensor& x, bool has_shared);
  };
  Tensor forward(Context& ctx, const Tensor& x, int layer, const Sequences& sequences,
                 const BalanceLoss& balance, Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);

 private:
  void route(Context& ctx, const Tensor& x, int layer, const Sequences& sequences,
             const BalanceLoss& balance, Saved& saved) const;
  std::vector<WeightView> weights(Param Expert::*which) const;
  std::vector<View<float, 2>> gradients(Param Expert::*which);
};

// route_bias_i += gamma * sign(mean load - load_i), sign(0) = 0 (arXiv:2408.15664). `load` is the
// whole global batch's.
void update_route_bias(Param& route_bias, std::span<const int64_t> load, float gamma);
// max_i load_i / mean load - 1; 0 for an empty load
double max_violation(std::span<const int64_t> load);

}  // namespace hadal
