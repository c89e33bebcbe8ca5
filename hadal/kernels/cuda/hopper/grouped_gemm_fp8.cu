#include "hadal/kernels/cuda/hopper/grouped_launch.cuh"

namespace hadal::cuda {
namespace {

template <class Out, int kWaves, bool kSideBySide, int kCluster>
using RowsPlan = GroupedPlan<f8e4m3, Out, GemmScales::kRowsAndBlocks, false, false, kWaves,
                             kSideBySide, kCluster, false>;
using GradientPlan =
    GroupedPlan<f8e4m3, float, GemmScales::kRowsAndRows, false, false, 2, false, 2, true>;

template <class Plan>
void multiply_with(const GroupedGemmFp8& p, cudaStream_t stream) {
  const int64_t rows = all_rows(p.rows), blocks = (p.k + 127) / 128;
  GroupedMaps maps{};
  maps.a = a_map<Plan>(p.a, rows, p.k, p.a_stride);
  maps.b = b_map<Plan>(p.b, p.rows.groups, p.n, p.k, p.b_stride);
  maps.a_scales = scale_map(p.a_scales, blocks, rows, p.a_scale_stride, Plan::kTileM);
  GroupedWork work = grouped_work(p.rows, p.n, p.k, p.y);
  work.b_scales = p.b_scales;
  work.b_scale_stride = static_cast<int>(p.b_scale_stride);
  launch<Plan>(maps, work, most_row_tiles<Plan>(p.rows), stream);
}

template <class Out>
void multiply_into(const GroupedGemmFp8& p, cudaStream_t stream) {
  switch (chosen_tile(p.tile, p.rows)) {
    case GroupedGemmTile::k64x256:
      return multiply_with<RowsPlan<Out, 1, true, 1>>(p, stream);
    case GroupedGemmTile::k256x128:
      return multiply_with<RowsPlan<Out, 2, false, 2>>(p, stream);
    default:
      return multiply_with<RowsPlan<Out, 1, false, 1>>(p, stream);
  }
}

}  // namespace

bool can_multiply(const GroupedGemmFp8& p) noexcept {
  const int64_t blocks = (p.k + 127) / 128;
  return can_group(p.rows) && in_reach({p.n, p.k}) && p.k > 0 && p.k % 16 == 0 &&
         aligned({p.a, p.b, p.a_scales}) && p.b_scales != nullptr && p.a_stride >= p.k &&
         p.a_stride % 16 == 0 && p.b_stride >= p.k && p.b_stride % 16 == 0 &&
         p.a_scale_stride >= all_rows(p.rows) && p.a_scale_stride % 4 == 0 &&
         p.b_scale_stride >= blocks && can_write(p.y, p.n);
}

void multiply(const GroupedGemmFp8& p, cudaStream_t stream) {
  if (all_rows(p.rows) == 0 || p.n == 0) return;
  if (!can_multiply(p)) throw ShapeError("grouped_gemm fp8: extents or alignment");
  p.y.is_f32 ? multiply_into<float>(p, stream) : multiply_into<bf16>(p, stream);
}

bool can_multiply(const GroupedWeightGradientFp8& p) noexcept {
  return p.groups > 0 && p.offsets != nullptr && in_reach({p.tokens, p.n, p.k}) &&
         p.tokens % 128 == 0 && aligned({p.dyt, p.xt, p.dyt_scales, p.xt_scales, p.dw}) &&
         p.dyt_stride >= p.tokens && p.dyt_stride % 16 == 0 && p.xt_stride >= p.tokens &&
         p.xt_stride % 16 == 0 && p.dyt_scale_stride >= p.n && p.dyt_scale_stride % 4 == 0 &&
         p.xt_scale_stride >= p.k && p.xt_scale_stride % 4 == 0 && p.k % 4 == 0;
}

void multiply(const GroupedWeightGradientFp8& p, cudaStream_t stream) {
  if (is_nothing(p, stream)) return;
  if (!can_multiply(p)) throw ShapeError("grouped weight gradient fp8: extents or alignment");
  using Plan = GradientPlan;
  GroupedMaps maps{};
  maps.a = a_map<Plan>(p.dyt, p.n, p.tokens, p.dyt_stride);
  maps.b = b_map<Plan>(p.xt, 1, p.k, p.tokens, p.xt_stride);
  maps.a_scales = scale_map(p.dyt_scales, p.tokens / 128, p.n, p.dyt_scale_stride, Plan::kTileM);
  maps.b_scales = scale_map(p.xt_scales, p.tokens / 128, p.k, p.xt_scale_stride, Plan::kTileN);
  launch<Plan>(maps, gradient_work(p), gradient_row_tiles<Plan>(p), stream);
}

}  // namespace hadal::cuda
