// nn/moe.h: router, routed experts and shared expert (arXiv:2412.19437 eq. 12-16).
//
//   y = FFN_shared(x) + sum_{i in chosen} g_i FFN_i(x)        no token is ever dropped
//
// F and B are three phases each, so that they can travel while something else is computed: dispatch
// starts the tokens' way to the experts, experts waits for them, combine waits for what comes back.
// Nothing travels in W: a place keeps the tokens that came from elsewhere.
#pragma once

#include <optional>
#include <vector>

#include "hadal/nn/ffn.h"
#include "hadal/nn/grouped_linear.h"
#include "hadal/nn/pass.h"
#include "hadal/nn/token_dispatcher.h"

namespace hadal {

// What a router decided in one pass.
struct RoutingResult {
  double balance_loss = 0.0;  // loss_scale * sum_i f_i P_i, alpha not included
  std::vector<int64_t>
      load;            // [E] tokens per expert, of this place's tokens; empty in dense layers
  Tensor chosen = {};  // [T,K] ids on the host, until they are dispatched
};

struct Moe {
  RouterConfig config;
  Param w_router;     // [E, d]
  Param route_bias;   // [E], no gradient, moved by the optimizer step; without data unless noaux_tc
  ExpertRange range;  // the experts that live here
  // Of a model that only infers: the copies of experts, those that live here in place of the range.
  std::optional<ExpertSlots> slots;
  GroupedLinear w_gate, w_up, w_down;  // of those: [f,d], [f,d], [d,f]
  std::optional<Ffn> shared;
  float swiglu_limit = kNoSwigluLimit;  // of the routed experts
  // F32 [E, d], empty but for a training step that chooses its experts by weights the router had
  // before (train/router_history.h). The gates, and so all gradients, are those of w_router.
  Tensor chooses_by;

  struct Saved {
    Tensor x;                       // [T,d]
    Tensor scores, gates, indices;  // [T,E], [T,K], I32 [T,K]
    BalanceLoss balance;            // B forms its gradient, [T,E]
    Sequences sequences;
    Dispatch dispatch;
    KeptRows tokens;    // [A,d] that came, if some did from elsewhere; else W forms them from x
    Tensor row_gates;   // [R]
    KeptRows gate, up;  // [R,f]
    LinearInput h;      // [R,f]; only where the policy keeps it
    Tensor y;           // [T,d] between experts and combine
    Ffn::Saved shared;
    Tensor dlogits, dx;      // written by B; dx [T,d]
    KeptRows dy;             // [T,d], from experts_backward on [A,d]
    KeptRows dy_of_shared;   // [T,d] as it came; only where shared experts round otherwise
    LinearInput dgate, dup;  // [R,f]
  };
  RoutingResult dispatch(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x, int layer,
                         const Pass& pass, Saved& saved) const;
  void experts(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x, const Pass& pass,
               Saved& saved) const;
  Tensor combine(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const;

  // The same way back. x_again: the input, where the policy let forward not keep it; else empty.
  void combine_backward(Context& ctx, TokenDispatcher& dispatcher, Tensor dy, Saved& saved) const;
  void experts_backward(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x_again,
                        Saved& saved) const;
  Tensor dispatch_backward(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);

  HeldExperts held() const { return {range, slots ? &*slots : nullptr}; }

 private:
  // Rows of experts as F's and B's products read them, of tokens that came.
  LinearInput expert_input(Context& ctx, const KeptRows& tokens, const ExpertRows& rows) const;
  LinearInput expert_gradient(Context& ctx, const KeptRows& tokens, const ExpertRows& rows) const;
  // What W multiplies: rows of the tokens as they came in F.
  LinearInput weight_gradient_input(Context& ctx, Saved& saved) const;
  // dy as it waits for W.
  KeptRows kept_gradient(Context& ctx, const KeptRows& sent) const;
  RoutingResult route(Context& ctx, const Tensor& x, int layer, const Pass& pass,
                      Saved& saved) const;
  // Of the balance loss, without alpha. Adds the gradient of the scores to dscores, unless empty.
  double balance_loss(Context& ctx, View<float, 2> dscores, const Saved& saved) const;
};

}  // namespace hadal
