// ops/swiglu.h: h = silu(gate) * up, silu(x) = x / (1 + exp(-x)). All [T, F].
//
// With a limit L (config.json's swiglu_limit, as DeepSeek-V4 has it; not in V3) the two are clamped
// first: h = silu(min(gate, L)) * min(max(up, -L), L). What is clamped has no gradient; NaN stays NaN.
#pragma once

#include <limits>

#include "hadal/tensor/context.h"

namespace hadal {

constexpr float kNoSwigluLimit = std::numeric_limits<float>::infinity();

void swiglu_forward(Context& ctx, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up, float limit = kNoSwigluLimit);
// dgate = dh * up * silu'(gate), dup = dh * silu(gate). dgate may be dh's memory.
void swiglu_backward(Context& ctx, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up,
                     float limit = kNoSwigluLimit);

}  // namespace hadal
