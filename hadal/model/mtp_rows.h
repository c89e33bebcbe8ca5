// model/mtp_rows.h: which rows of a batch an MTP module works on. Depth k (from 1) has rows
// 0..T-1-k of every sequence of T tokens: row i reads the embedding of token i+k and depth k-1's
// state of row i.
#pragma once

#include <span>
#include <vector>

#include "hadal/ops/sequences.h"
#include "hadal/tensor/context.h"

namespace hadal {

// Every sequence without its last row; an empty one stays empty.
Sequences shortened(const Sequences& sequences);

// ids[i + depth] for the rows of `rows`, which is `full` shortened `depth` times.
std::vector<int32_t> shifted_ids(std::span<const int32_t> ids, const Sequences& full,
                                 const Sequences& rows, int64_t depth);

// The rows of x [from.tokens(), d] that `to` still has: the leading ones of each sequence.
Tensor leading_rows(Context& ctx, const Tensor& x, const Sequences& from, const Sequences& to);

// The transpose: adds dy [to.tokens(), d] to the leading rows of dx [from.tokens(), d].
void leading_rows_backward(Context& ctx, Tensor& dx, const Tensor& dy, const Sequences& from,
                           const Sequences& to);

}  // namespace hadal
