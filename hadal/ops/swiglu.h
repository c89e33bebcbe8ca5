// ops/swiglu.h: h = silu(gate) * up, silu(x) = x / (1 + exp(-x)). All [T, F].
#pragma once

#include "hadal/tensor/context.h"

namespace hadal {

void swiglu_forward(Context& ctx, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up);
// dgate = dh * up * silu'(gate), dup = dh * silu(gate). dgate may be dh's memory.
void swiglu_backward(Context& ctx, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up);

}  // namespace hadal
