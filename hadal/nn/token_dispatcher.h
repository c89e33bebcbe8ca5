// nn/token_dispatcher.h: moves rows of tokens to the experts that were chosen for them, and what the
// experts made of them back. Experts may live elsewhere: each movement is started and finished apart,
// so that an executor computes something else in between.
//
//   dispatch  tokens [T,d] -> rows [R,d] of this place's experts    x in F, dy in B
//   combine   rows [R,d] -> sums over a token's experts [T,d]       outputs in F, dx in B
//
// Sums run in ascending expert id, however experts are spread.
#pragma once

#include "hadal/ops/permute.h"
#include "hadal/tensor/context.h"

namespace hadal {

// One micro-batch's rows on their way through one layer: a value that lives in the layer's Saved.
struct Dispatch {
  ExpertRows rows;  // of the experts of this place
  Tensor moving;    // between a start and its finish
};

class TokenDispatcher {
 public:
  virtual ~TokenDispatcher() = default;
  // Which rows come here, from the choices of this place's tokens.
  virtual Dispatch plan(Context& ctx, View<const int32_t, 2> indices, ExpertRange experts) = 0;

  virtual void start_dispatch(Context& ctx, const Tensor& tokens, Dispatch& dispatch) = 0;
  virtual Tensor finish_dispatch(Context& ctx, Dispatch& dispatch) = 0;

  virtual void start_combine(Context& ctx, Tensor rows, Dispatch& dispatch) = 0;
  // y[t] += sum_k gates[t,k] row(t,k);  without gates (no data) y[t] += sum_k row(t,k).
  virtual void finish_combine(Context& ctx, View<float, 2> y, View<const float, 2> gates,
                              Dispatch& dispatch) = 0;

  // One number a choice: gates [T,K] to the rows they belong to [R], and gradients of gates back.
  virtual Tensor to_rows(Context& ctx, const Tensor& choices, const Dispatch& dispatch) = 0;
  virtual Tensor to_choices(Context& ctx, const Tensor& rows, const Dispatch& dispatch) = 0;
};

// Tokens and experts in one memory: movements are copies, done when they are started or finished.
class LocalDispatcher final : public TokenDispatcher {
 public:
  Dispatch plan(Context& ctx, View<const int32_t, 2> indices, ExpertRange experts) override;
  void start_dispatch(Context& ctx, const Tensor& tokens, Dispatch& dispatch) override;
  Tensor finish_dispatch(Context& ctx, Dispatch& dispatch) override;
  void start_combine(Context& ctx, Tensor rows, Dispatch& dispatch) override;
  void finish_combine(Context& ctx, View<float, 2> y, View<const float, 2> gates,
                      Dispatch& dispatch) override;
  Tensor to_rows(Context& ctx, const Tensor& choices, const Dispatch& dispatch) override;
  Tensor to_choices(Context& ctx, const Tensor& rows, const Dispatch& dispatch) override;
};

}  // namespace hadal
