#include "hadal/nn/token_dispatcher.h"

namespace hadal {

Dispatch LocalDispatcher::plan(Context&, View<const int32_t, 2> indices, ExpertRange experts) {
  return {ExpertRows::from(indices, experts), {}};
}

void LocalDispatcher::start_dispatch(Context& ctx, const Tensor& tokens, Dispatch& dispatch) {
  dispatch.moving = ctx.empty({dispatch.rows.n_rows(), tokens.dim(1)});
  gather_rows(ctx, dispatch.moving.mat(), tokens.mat(), dispatch.rows);
}

Tensor LocalDispatcher::finish_dispatch(Context&, Dispatch& dispatch) {
  return std::move(dispatch.moving);
}

void LocalDispatcher::start_combine(Context&, Tensor rows, Dispatch& dispatch) {
  dispatch.moving = std::move(rows);
}

void LocalDispatcher::finish_combine(Context& ctx, View<float, 2> y, View<const float, 2> gates,
                                     Dispatch& dispatch) {
  const Tensor rows = std::move(dispatch.moving);
  if (gates.data() != nullptr) {
    combine_rows(ctx, y, rows.mat(), gates, dispatch.rows);
  } else {
    gather_rows_backward(ctx, y, rows.mat(), dispatch.rows);
  }
}

Tensor LocalDispatcher::to_rows(Context& ctx, const Tensor& choices, const Dispatch& dispatch) {
  Tensor result = ctx.empty({dispatch.rows.n_rows()});
  choices_to_rows(ctx, result.vec(), choices.mat(), dispatch.rows);
  return result;
}

Tensor LocalDispatcher::to_choices(Context& ctx, const Tensor& rows, const Dispatch& dispatch) {
  const int64_t n_tokens = dispatch.rows.n_tokens, top_k = dispatch.rows.top_k;
  Tensor result = ctx.empty({n_tokens, top_k});
  rows_to_choices(ctx, result.mat(), rows.vec(), dispatch.rows);
  return result;
}

}  // namespace hadal
