// nn/moe.h: router, routed experts and shared expert (arXiv:2412.19437 eq. 12-16).
//
//   y = FFN_shared(x) + sum_{i in chosen} g_i FFN_i(x)        no token is ever dropped
//
// F and B are three phases each, so that rows can travel while something else is computed: dispatch
// starts their way to the experts, experts waits for them, combine waits for what comes back.
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
    Tensor row_gates;   // [R]
    KeptRows gate, up;  // [R,f]
    LinearInput h;      // [R,f]; only where the policy keeps it
    Tensor y;           // [T,d] between experts and combine
    Ffn::Saved shared;
    Tensor dlogits, dgates, dx;  // written by B; dx [T,d]
    KeptRows dy;                 // [T,d]
    KeptRows dy_of_shared;       // [T,d] as it came; only where shared experts round otherwise
    LinearInput dgate, dup;      // [R,f]
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
  // Rows that the policy lets go are dispatched once more.
  void backward_weight(Context& ctx, TokenDispatcher& dispatcher, Saved&& saved);

 private:
  // What the experts multiply for W: rows of the tokens x, rounded as forward rounded them.
  LinearInput expert_input(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x,
                           Dispatch& dispatch) const;
  RoutingResult route(Context& ctx, const Tensor& x, int layer, const Pass& pass,
                      Saved& saved) const;
  // Of the balance loss, without alpha. Adds the gradient of the scores to dscores, unless empty.
  double balance_loss(Context& ctx, View<float, 2> dscores, const Saved& saved) const;
};

}  // namespace hadal
