#include "hadal/kernels/latent_rows.h"

#include "hadal/kernels/copy.h"
#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/latent_block.h"
#include "hadal/kernels/quantize.h"

namespace hadal::cpu {
namespace {

// The rows of a part, to write to.
template <class T>
View<T, 2> writable(const WeightView& part) {
  return {
      static_cast<T*>(const_cast<void*>(part.data)), {part.rows, part.cols}, {part.row_stride, 1}};
}

void round_part(ThreadPool& pool, const WeightView& to, View<const float, 2> from) {
  pool.parallel_for(to.rows, row_grain(to.cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      round_to_bf16(writable<bf16>(to).row(t).data(), from.row(t).data(), to.cols);
    }
  });
}

}  // namespace

void store_latent_rows(ThreadPool& pool, const LatentRows& to, View<const float, 2> rows) {
  const View<const float, 2> content = rows.columns(0, to.layout.d_c),
                             rope = rows.columns(to.layout.d_c, rows.dim(1));
  switch (to.layout.form) {
    case LatentForm::kF32:
      return copy_rows(pool, {reinterpret_cast<float*>(to.data), {to.n, to.layout.d_row()}}, rows);
    case LatentForm::kBF16:
      round_part(pool, to.content(), content);
      return round_part(pool, to.rope(), rope);
    case LatentForm::kFp8:
      quantize(pool, to.codes(), to.scales(), content, 1, LatentLayout::kTile,
               /*power_of_two=*/true, /*amax_floor=*/true);
      return round_part(pool, to.rope(), rope);
  }
}

void load_latent_rows(ThreadPool& pool, View<float, 2> rows, const LatentRows& from) {
  const int64_t d_c = from.layout.d_c;
  dequantize(pool, rows.columns(0, d_c), from.content());
  dequantize(pool, rows.columns(d_c, rows.dim(1)), from.rope());
}

}  // namespace hadal::cpu
