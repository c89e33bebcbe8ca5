#include "hadal/kernels/cuda/hopper/grouped_launch.cuh"

namespace hadal::cuda {
namespace {

template <class Out, bool kBAcross, int kWaves, bool kSideBySide, int kCluster>
using RowsPlan = GroupedPlan<bf16, Out, GemmScales::kNone, false, kBAcross, kWaves, kSideBySide,
                             kCluster, false>;
using GradientPlan = GroupedPlan<bf16, float, GemmScales::kNone, true, true, 2, false, 2, true>;

template <class Plan>
void multiply_with(const GroupedGemmBf16& p, cudaStream_t stream) {
  const int64_t rows = all_rows(p.rows);
  GroupedMaps maps{};
  maps.a = a_map<Plan>(p.a, rows, p.k, p.a_stride);
  maps.b = b_map<Plan>(p.b, p.rows.groups, p.n, p.k, p.b_stride);
  launch<Plan>(maps, grouped_work(p.rows, p.n, p.k, p.y), most_row_tiles<Plan>(p.rows), stream);
}

template <class Out, bool kBAcross>
void multiply_into(const GroupedGemmBf16& p, cudaStream_t stream) {
  switch (chosen_tile(p.tile, p.rows)) {
    case GroupedGemmTile::k64x256:
      return multiply_with<RowsPlan<Out, kBAcross, 1, true, 1>>(p, stream);
    case GroupedGemmTile::k256x128:
      return multiply_with<RowsPlan<Out, kBAcross, 2, false, 2>>(p, stream);
    default:
      return multiply_with<RowsPlan<Out, kBAcross, 1, false, 1>>(p, stream);
  }
}

template <class Out>
void multiply_into(const GroupedGemmBf16& p, cudaStream_t stream) {
  p.b_is_kn ? multiply_into<Out, true>(p, stream) : multiply_into<Out, false>(p, stream);
}

}  // namespace

bool can_multiply(const GroupedGemmBf16& p) noexcept {
  return can_group(p.rows) && in_reach({p.n, p.k}) && p.k > 0 && aligned({p.a, p.b}) &&
         p.a_stride >= p.k && p.a_stride % 8 == 0 && p.b_stride >= (p.b_is_kn ? p.n : p.k) &&
         p.b_stride % 8 == 0 && can_write(p.y, p.n);
}

void multiply(const GroupedGemmBf16& p, cudaStream_t stream) {
  if (all_rows(p.rows) == 0 || p.n == 0) return;
  if (!can_multiply(p)) throw ShapeError("grouped_gemm bf16: extents or alignment");
  p.y.is_f32 ? multiply_into<float>(p, stream) : multiply_into<bf16>(p, stream);
}

bool can_multiply(const GroupedWeightGradientBf16& p) noexcept {
  return p.groups > 0 && p.offsets != nullptr && in_reach({p.tokens, p.n, p.k}) &&
         aligned({p.dy, p.x, p.dw}) && p.dy_stride >= p.n && p.dy_stride % 8 == 0 &&
         p.x_stride >= p.k && p.x_stride % 8 == 0 && p.k % 4 == 0;
}

void multiply(const GroupedWeightGradientBf16& p, cudaStream_t stream) {
  if (is_nothing(p, stream)) return;
  if (!can_multiply(p)) throw ShapeError("grouped weight gradient bf16: extents or alignment");
  using Plan = GradientPlan;
  GroupedMaps maps{};
  maps.a = a_map<Plan>(p.dy, p.n, p.tokens, p.dy_stride);
  maps.b = b_map<Plan>(p.x, 1, p.k, p.tokens, p.x_stride);
  launch<Plan>(maps, gradient_work(p), gradient_row_tiles<Plan>(p), stream);
}

}  // namespace hadal::cuda
