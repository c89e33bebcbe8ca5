// kernels/cuda/hopper/grouped_launch.cuh: what grouped_gemm_fp8.cu and grouped_gemm_bf16.cu share on the host.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/grouped_gemm.cuh"
#include "hadal/kernels/cuda/hopper/grouped_gemm.h"
#include "hadal/kernels/cuda/hopper/tensor_map.h"

namespace hadal::cuda {

inline bool aligned(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(), [](const void* pointer) {
    return pointer != nullptr && reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
  });
}

// Coordinates are 32-bit numbers, and a tile may run over an end.
inline bool in_reach(std::initializer_list<int64_t> extents) {
  return std::all_of(extents.begin(), extents.end(), [](int64_t extent) {
    return 0 <= extent && extent < (int64_t{1} << 31) - 512;
  });
}

inline int64_t all_rows(const RowGroups& rows) {
  return rows.offsets != nullptr ? rows.rows : rows.groups * rows.rows;
}

inline bool can_group(const RowGroups& rows) {
  return rows.groups > 0 && (rows.offsets == nullptr || rows.counts == nullptr) &&
         in_reach({rows.rows, rows.groups * rows.rows});
}

inline bool can_write(const GroupedResult& y, int64_t n) {
  const int chunk = y.is_f32 ? 4 : 8;
  return aligned({y.data}) && y.stride >= n && y.stride % chunk == 0 && n % chunk == 0 &&
         (y.is_f32 || !y.accumulate);
}

inline GroupedGemmTile chosen_tile(GroupedGemmTile asked, const RowGroups& rows) {
  if (asked != GroupedGemmTile::kAuto) return asked;
  const int64_t expected =
      rows.expected_rows > 0 ? rows.expected_rows : all_rows(rows) / rows.groups;
  if (expected <= 64) return GroupedGemmTile::k64x256;
  return expected < 512 ? GroupedGemmTile::k128x128 : GroupedGemmTile::k256x128;
}

inline GroupedWork grouped_work(const RowGroups& rows, int64_t n, int64_t k,
                                const GroupedResult& y) {
  GroupedWork work;
  work.groups = rows.groups;
  work.offsets = rows.offsets;
  work.counts = rows.counts;
  work.rows = static_cast<int>(rows.rows);
  work.n = static_cast<int>(n);
  work.k = static_cast<int>(k);
  work.y = y.data;
  work.y_stride = y.stride;
  work.accumulate = y.accumulate;
  return work;
}

// ---- Maps of a plan's operands.

template <class T>
constexpr CUtensorMapDataType kMapType = sizeof(T) == 1   ? CU_TENSOR_MAP_DATA_TYPE_UINT8
                                         : sizeof(T) == 2 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                          : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;

// [rows, k], or across: [k, rows].
template <class Plan>
CUtensorMap a_map(const void* a, int64_t rows, int64_t k, int64_t stride) {
  constexpr int kSize = sizeof(typename Plan::In);
  TensorMapShape shape{
      kMapType<typename Plan::In>, kSize, 2, {k, rows, 1}, {1, stride, 0}, {}, 128};
  shape.box[0] = 128 / kSize;
  shape.box[1] = Plan::kTileM / Plan::kCluster;
  if (Plan::kAAcross) {
    std::swap(shape.extent[0], shape.extent[1]);
    shape.box[1] = Plan::kTileK;
  }
  return tensor_map(a, shape);
}

// [groups, n, k], or across: [groups, k, n].
template <class Plan>
CUtensorMap b_map(const void* b, int64_t groups, int64_t n, int64_t k, int64_t stride) {
  constexpr int kSize = sizeof(typename Plan::In);
  TensorMapShape shape{kMapType<typename Plan::In>, kSize, 3,  {k, n, groups},
                       {1, stride, n * stride},     {},    128};
  shape.box[0] = 128 / kSize;
  shape.box[1] = Plan::kTileN;
  shape.box[2] = 1;
  if (Plan::kBAcross) {
    std::swap(shape.extent[0], shape.extent[1]);
    shape.stride[2] = k * stride;
    shape.box[1] = Plan::kTileK;
  }
  return tensor_map(b, shape);
}

// [blocks, stride] of which `rows` a block.
inline CUtensorMap scale_map(const float* scales, int64_t blocks, int64_t rows, int64_t stride,
                             int tile_rows) {
  return tensor_map(
      scales, {kMapType<float>, 4, 2, {rows, blocks, 1}, {1, stride, 0}, {tile_rows, 1, 1}, 0});
}

// At most `row_tiles` tiles of rows.
template <class Plan>
void launch(const GroupedMaps& maps, const GroupedWork& work, int64_t row_tiles,
            cudaStream_t stream) {
  int device = 0, blocks = 0;
  check(cudaGetDevice(&device), "grouped_gemm");
  check(cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device), "grouped_gemm");
  const int64_t columns = int64_t{Plan::kTileN} * Plan::kCluster;
  const int64_t units = row_tiles * ((work.n + columns - 1) / columns);
  const int64_t clusters = std::min<int64_t>(units, std::max(blocks / Plan::kCluster, 1));
  const auto kernel = grouped_gemm<Plan>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Plan::kBytes),
        "grouped_gemm");
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(clusters * Plan::kCluster));
  config.blockDim = dim3(Plan::kThreads);
  config.dynamicSmemBytes = Plan::kBytes;
  config.stream = stream;
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = Plan::kCluster;
  cluster.val.clusterDim.y = 1;
  cluster.val.clusterDim.z = 1;
  config.attrs = &cluster;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, maps, work), "grouped_gemm");
}

template <class Plan>
int64_t most_row_tiles(const RowGroups& rows) {
  if (rows.offsets != nullptr) return rows.rows / Plan::kTileM + rows.groups;
  return rows.groups * ((rows.rows + Plan::kTileM - 1) / Plan::kTileM);
}

// Groups along the tokens: rows of the result are the same for all.
template <class Gradient>
GroupedWork gradient_work(const Gradient& p) {
  GroupedWork work;
  work.groups = p.groups;
  work.offsets = p.offsets;
  work.rows = static_cast<int>(p.n);
  work.n = static_cast<int>(p.k);
  work.k = static_cast<int>(p.tokens);
  work.y = p.dw;
  work.y_stride = p.k;
  work.accumulate = p.accumulate;
  return work;
}

// Whether there is nothing to multiply; then dw has what it has, or zeros. No tensor map has an extent of 0.
template <class Gradient>
bool is_nothing(const Gradient& p, cudaStream_t stream) {
  if (p.tokens != 0 && p.n != 0 && p.k != 0) return false;
  const int64_t size = p.groups * p.n * p.k;
  if (!p.accumulate && size > 0) {
    check(cudaMemsetAsync(p.dw, 0, static_cast<size_t>(size) * sizeof(float), stream),
          "grouped_gemm");
  }
  return true;
}

template <class Plan, class Gradient>
int64_t gradient_row_tiles(const Gradient& p) {
  return p.groups * ((p.n + Plan::kTileM - 1) / Plan::kTileM);
}

}  // namespace hadal::cuda
