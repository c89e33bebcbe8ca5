// nn/layer.h: what a pipeline schedule needs from a layer. F fills Saved, B adds dy to it, W
// consumes it. forward and backward_input are const: gradients are touched by backward_weight
// alone.
#pragma once

#include <concepts>

#include "hadal/tensor/context.h"
#include "hadal/tensor/param.h"

namespace hadal {

template <class L>
concept SplitBackwardLayer = requires(L layer, const L& frozen, Context& ctx, const Tensor& x,
                                      Tensor dy, typename L::Saved& saved) {
  { frozen.forward(ctx, x, saved) } -> std::same_as<Tensor>;
  { frozen.backward_input(ctx, std::move(dy), saved) } -> std::same_as<Tensor>;
  { layer.backward_weight(ctx, std::move(saved)) } -> std::same_as<void>;
};

}  // namespace hadal
