// ops/row_records.h: rows of several tensors side by side, as one message carries them.
//
//   record r = row rows[r] of the first part, of the second, ...        bytes, no padding
//
// Parts [N, ...] of any type lie on the host (Unavailable otherwise): messages do.
#pragma once

#include <span>
#include <vector>

#include "hadal/tensor/context.h"

namespace hadal {

// U8 [rows, bytes of a record]. Rows within every part, ShapeError otherwise.
Tensor packed_rows(Context& ctx, std::span<const Tensor> parts, std::span<const int32_t> rows);
// Row to[r] of every part = what record r has of it. The parts may be the first ones of the record alone;
// ShapeError where it is shorter than they are.
void unpack_rows(Context& ctx, std::span<Tensor> parts, const Tensor& records,
                 std::span<const int32_t> to);

}  // namespace hadal
