#include "hadal/kernels/latent_rows.h"

#include <algorithm>

#include "hadal/kernels/quantize.h"
#include "hadal/kernels/reference/widen.h"

namespace hadal::reference {
namespace {

void round_rows(const WeightView& to, View<const float, 2> from) {
  bf16* const data = static_cast<bf16*>(const_cast<void*>(to.data));
  for (int64_t t = 0; t < to.rows; ++t) {
    for (int64_t c = 0; c < to.cols; ++c) data[t * to.row_stride + c] = to_bf16(from(t, c));
  }
}

}  // namespace

void store_latent_rows(const LatentRows& to, View<const float, 2> rows) {
  const int64_t d_c = to.layout.d_c, d = to.layout.d_row();
  switch (to.layout.form) {
    case LatentForm::kF32:
      for (int64_t t = 0; t < to.n; ++t) {
        std::ranges::copy(rows.row(t), reinterpret_cast<float*>(to.data) + t * d);
      }
      return;
    case LatentForm::kBF16:
      round_rows(to.content(), rows.columns(0, d_c));
      return round_rows(to.rope(), rows.columns(d_c, d));
    case LatentForm::kFp8:
      quantize(to.codes(), to.scales(), rows.columns(0, d_c), 1, LatentLayout::kTile,
               /*power_of_two=*/true, /*amax_floor=*/true);
      return round_rows(to.rope(), rows.columns(d_c, d));
  }
}

void load_latent_rows(View<float, 2> rows, const LatentRows& from) {
  const int64_t d_c = from.layout.d_c;
  const WeightView content = from.content(), rope = from.rope();
  for (int64_t t = 0; t < from.n; ++t) {
    widen_row(rows.columns(0, d_c).row(t), content, t);
    widen_row(rows.columns(d_c, rows.dim(1)).row(t), rope, t);
  }
}

}  // namespace hadal::reference
