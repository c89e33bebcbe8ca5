#include "hadal/kernels/latent_rows.h"

#include "hadal/kernels/copy.h"
#include "hadal/kernels/cuda/each.h"
#include "hadal/kernels/cuda/stored_weight.h"
#include "hadal/kernels/quantize.h"

namespace hadal::cuda {
namespace {

struct RoundRows {
  View<bf16, 2> to;
  View<const float, 2> from;
  template <int kWidth>
  __device__ Pack<bf16, kWidth> at(int64_t t, int64_t i) const {
    const auto values = load<kWidth>(&from(t, i));
    Pack<bf16, kWidth> rounded;
    for (int j = 0; j < kWidth; ++j) rounded.at[j] = rounded_to<bf16>(values.at[j]);
    return rounded;
  }
  template <int kWidth>
  __device__ void store(int64_t t, int64_t i, const Pack<bf16, kWidth>& values) const {
    cuda::store(&to(t, i), values);
  }
};

// Columns of rows that are stored as BF16 from byte `at` on.
void round_rows(Stream& stream, const LatentRows& to, int64_t at, View<const float, 2> from) {
  const View<bf16, 2> stored(reinterpret_cast<bf16*>(to.data + at), from.shape(),
                             {to.layout.row_bytes() / 2, 1});
  each_of_rows("store_latent_rows", stream, to.n, from.dim(1), in_fours(stored) && in_fours(from),
               RoundRows{stored, from});
}

template <WeightForm kContent, WeightForm kRope>
struct LoadRows {
  View<float, 2> rows;
  WeightView content, rope;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t t, int64_t i) const {
    if (i < content.cols) return values_at<kContent, kWidth>(content, t, i);
    return values_at<kRope, kWidth>(rope, t, i - content.cols);
  }
  template <int kWidth>
  __device__ void store(int64_t t, int64_t i, const Pack<float, kWidth>& values) const {
    cuda::store(&rows(t, i), values);
  }
};

template <WeightForm kContent, WeightForm kRope>
void load_rows(Stream& stream, View<float, 2> rows, const LatentRows& from) {
  const LoadRows<kContent, kRope> body{rows, from.content(), from.rope()};
  const bool fours = in_fours(rows) && in_fours(body.content) && in_fours(body.rope);
  each_of_rows("load_latent_rows", stream, from.n, rows.dim(1), fours, body);
}

}  // namespace

void store_latent_rows(Stream& stream, const LatentRows& to, View<const float, 2> rows) {
  const int64_t d_c = to.layout.d_c, d = to.layout.d_row();
  switch (to.layout.form) {
    case LatentForm::kF32:
      return copy_rows(stream, {reinterpret_cast<float*>(to.data), {to.n, d}}, rows);
    case LatentForm::kBF16:
      return round_rows(stream, to, 0, rows);
    case LatentForm::kFp8:
      quantize(stream, to.codes(), to.scales(), rows.columns(0, d_c), 1, LatentLayout::kTile,
               /*power_of_two=*/true, /*amax_floor=*/true);
      return round_rows(stream, to, to.layout.rope_at(), rows.columns(d_c, d));
  }
}

void load_latent_rows(Stream& stream, View<float, 2> rows, const LatentRows& from) {
  switch (from.layout.form) {
    case LatentForm::kF32:
      return load_rows<WeightForm::kF32, WeightForm::kF32>(stream, rows, from);
    case LatentForm::kBF16:
      return load_rows<WeightForm::kBF16, WeightForm::kBF16>(stream, rows, from);
    case LatentForm::kFp8:
      return load_rows<WeightForm::kFp8, WeightForm::kBF16>(stream, rows, from);
  }
}

}  // namespace hadal::cuda
