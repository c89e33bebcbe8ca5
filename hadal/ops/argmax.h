// ops/argmax.h: where the largest element of every row stands.
//
//   index[t] = argmax_i x[t,i]    x [T,D], index [T]
// The first of equals. NaN is neither more nor less than anything: in front it stays, elsewhere it
// never wins. A row of no columns gives 0.
#pragma once

#include <span>

#include "hadal/tensor/context.h"

namespace hadal {

void argmax_rows(Context& ctx, std::span<int64_t> index, View<const float, 2> x);

}  // namespace hadal
