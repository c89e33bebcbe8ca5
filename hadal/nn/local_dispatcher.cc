#include "hadal/nn/token_dispatcher.h"

namespace hadal {

Tensor sum_rows(Context& ctx, View<float, 2> y, const Tensor& rows, const Tensor& numbers,
                Weights weights, const Tensor& gates, const ExpertRows& where) {
  if (weights == Weights::kGates) {
    combine_rows(ctx, y, rows.mat(), gates.mat(), where);
  } else {
    gather_rows_backward(ctx, y, rows.mat(), where);
  }
  if (!numbers.has_data()) return {};
  Tensor choices = ctx.empty({where.n_tokens, where.top_k});
  rows_to_choices(ctx, choices.mat(), numbers.vec(), where);
  return choices;
}

Dispatch LocalDispatcher::plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                               const HeldExperts& experts) {
  Dispatch dispatch;
  if (experts.slots == nullptr) {
    dispatch.rows = ExpertRows::from(indices, experts.range);
  } else {
    Tensor slots = ctx.empty(Shape{indices.dim(0), indices.dim(1)}, DType::kI32);
    choose_slots(slots.view<int32_t, 2>(), indices, *experts.slots, 0);
    dispatch.rows = ExpertRows::from(std::as_const(slots).view<int32_t, 2>(), experts.slots->here);
  }
  dispatch.gates = gates.share();
  return dispatch;
}

void LocalDispatcher::start_dispatch(Context& /*ctx*/, KeptRows tokens, Dispatch& dispatch) {
  dispatch.tokens = std::move(tokens);
}

KeptRows LocalDispatcher::finish_dispatch(Context& /*ctx*/, Dispatch& dispatch) {
  return std::exchange(dispatch.tokens, {});
}

void LocalDispatcher::start_combine(Context& /*ctx*/, Tensor rows, Tensor numbers, Weights weights,
                                    Dispatch& dispatch) {
  dispatch.outputs = std::move(rows);
  dispatch.numbers = std::move(numbers);
  dispatch.weights = weights;
}

Tensor LocalDispatcher::finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) {
  const Tensor rows = std::move(dispatch.outputs), numbers = std::move(dispatch.numbers);
  return sum_rows(ctx, y, rows, numbers, dispatch.weights, dispatch.gates, dispatch.rows);
}

}  // namespace hadal
