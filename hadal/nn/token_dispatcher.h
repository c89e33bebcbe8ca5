// nn/token_dispatcher.h: moves tokens to the places that have the experts they chose, and what those
// made of them back. Each movement is started and finished apart, so that an executor computes
// something else in between; F and B have one of each, W has none.
//
//   dispatch  tokens [T,d] -> tokens [A,d] that came to this place     x in F, dy in B
//   combine   rows [R,d] -> sums over a token's experts [T,d]          outputs in F, dx in B
//
// A token travels once to every place that has an expert of it; the place gathers rows of experts from
// what came (ops/permute.h) as often as it needs them. Sums run in ascending expert id, however experts
// are spread and whichever copies are taken.
#pragma once

#include <memory>

#include "hadal/nn/kept_rows.h"
#include "hadal/ops/expert_slots.h"

namespace hadal {

// How a sum over a token's experts weights their rows: outputs by gates, gradients not at all.
enum class Weights { kGates, kNone };

// One micro-batch's way through one layer: a value that lives in the layer's Saved, so that a
// dispatcher serves many at once.
struct Dispatch {
  // What a dispatcher between places knows besides.
  class Journey {
   public:
    virtual ~Journey() = default;
  };

  // From the end of F's dispatch on:
  ExpertRows rows;              // of this place's experts, over the tokens that came
  Tensor gates;                 // [A,K] of those tokens' choices; of experts elsewhere, anything
  bool from_elsewhere = false;  // whether tokens came that this place cannot form again
  // Between a start and its finish:
  KeptRows tokens;
  Tensor outputs, numbers;
  Weights weights = Weights::kGates;
  std::unique_ptr<Journey> journey;
};

class TokenDispatcher {
 public:
  virtual ~TokenDispatcher() = default;
  // Which experts this place's tokens chose, indices and gates [T,K], and which live here. The gates
  // travel with the first dispatch. Where experts have slots, a dispatcher chooses among them.
  virtual Dispatch plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                        const HeldExperts& experts) = 0;

  virtual void start_dispatch(Context& ctx, KeptRows tokens, Dispatch& dispatch) = 0;
  virtual KeptRows finish_dispatch(Context& ctx, Dispatch& dispatch) = 0;

  // Beside each row may travel a number, numbers [R]; else they are empty.
  virtual void start_combine(Context& ctx, Tensor rows, Tensor numbers, Weights weights,
                             Dispatch& dispatch) = 0;
  //   y[t] += sum_k weight(t,k) row(t,k)
  // Returns the numbers of this place's choices [T,K].
  virtual Tensor finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) = 0;

  // Whether what was started can be finished without a wait. Asking may move it on.
  virtual bool arrived(Context&, Dispatch&) { return true; }
  virtual bool between_places() const { return false; }  // whether anything travels
};

// y[t] += sum_k weight(t,k) rows[row_of[t,k]], gates [T,K], and the numbers [T,K] of the choices, if any.
Tensor sum_rows(Context& ctx, View<float, 2> y, const Tensor& rows, const Tensor& numbers,
                Weights weights, const Tensor& gates, const ExpertRows& where);

// Tokens and experts in one memory: nothing travels, and nothing is copied.
class LocalDispatcher final : public TokenDispatcher {
 public:
  Dispatch plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                const HeldExperts& experts) override;
  void start_dispatch(Context& ctx, KeptRows tokens, Dispatch& dispatch) override;
  KeptRows finish_dispatch(Context& ctx, Dispatch& dispatch) override;
  void start_combine(Context& ctx, Tensor rows, Tensor numbers, Weights weights,
                     Dispatch& dispatch) override;
  Tensor finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) override;
};

}  // namespace hadal
