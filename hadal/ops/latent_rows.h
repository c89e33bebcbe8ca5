// ops/latent_rows.h: rows [T, d_c + d_r] into pages of the latent cache and out of them, in the form in
// which the pages keep them (kernels/latent_layout.h). Row j of a sequence lies in page ids[j / 64].
// A row is rounded when it is stored, and never again.
#pragma once

#include <span>

#include "hadal/kernels/latent_layout.h"
#include "hadal/tensor/context.h"

namespace hadal {

// Rows first .. first + T - 1 of the sequence. ShapeError unless `ids` reach so far.
void store_latent_rows(Context& ctx, const LatentPagesView& pages, std::span<const int32_t> ids,
                       int64_t first, View<const float, 2> rows);
void load_latent_rows(Context& ctx, View<float, 2> rows, const LatentPagesView& pages,
                      std::span<const int32_t> ids, int64_t first);

}  // namespace hadal
