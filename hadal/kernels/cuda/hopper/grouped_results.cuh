// kernels/cuda/hopper/grouped_results.cuh: the way of a grouped product's results: registers, the warp's corner of
// shared memory, whole lines of memory. A corner's rows are swizzled as the copy engine's are, so that neither
// side meets itself in a bank.
#pragma once

#include "hadal/kernels/cuda/hopper/grouped_plan.cuh"

namespace hadal::cuda {

// Chunks of 16 bytes.
__device__ __forceinline__ char* place_in(char* corner, int row, int chunk) {
  return corner + SwizzledRows<128>::piece_at(row, chunk);
}

// Columns kPiece * kPieceColumns on of the warp's 16 rows into its corner.
template <class Plan, int kPiece>
__device__ __forceinline__ void stage_piece(const Consumer<Plan>& me, char* corner,
                                            const float (&acc)[64]) {
  constexpr int kFirst = kPiece * Plan::kPieceColumns / 2;  // the register of the first column
  if constexpr (sizeof(typename Plan::Output) == 2) {
    const int row = me.lane % 16;
#pragma unroll
    for (int j = 0; j < 8; j += 2) {  // 16 columns: four 8x8 matrices
      const float* d = acc + kFirst + 4 * j;
      store_matrices(place_in(corner, row, j + me.lane / 16), pack_bf16(d[0], d[1]),
                     pack_bf16(d[2], d[3]), pack_bf16(d[4], d[5]), pack_bf16(d[6], d[7]));
    }
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float* d = acc + kFirst + 4 * j + 2 * half;
        char* at = place_in(corner, me.lane / 4 + 8 * half, 2 * j + me.lane % 4 / 2);
        *reinterpret_cast<float2*>(at + me.lane % 2 * 8) = make_float2(d[0], d[1]);
      }
    }
  }
}

// `rows`: of the warp's 16, those that are the group's. `to`: the first of them, at the tile's column.
template <class Plan, int kPiece>
__device__ __forceinline__ void write_piece(const Consumer<Plan>& me, char* corner,
                                            const GroupedWork& work, typename Plan::Output* to,
                                            int rows, int columns, const float (&acc)[64]) {
  using Out = typename Plan::Output;
  constexpr int kChunk = 16 / static_cast<int>(sizeof(Out));
  __syncwarp();  // the piece before has left the corner
  stage_piece<Plan, kPiece>(me, corner, acc);
  __syncwarp();
  const int chunk = me.lane % 8;
  const int column = kPiece * Plan::kPieceColumns + chunk * kChunk;
  if (column >= columns) return;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = 4 * i + me.lane / 8;
    if (row >= rows) continue;
    const float4 value = *reinterpret_cast<const float4*>(place_in(corner, row, chunk));
    Out* at = to + row * work.y_stride + column;
    if (sizeof(Out) == 4 && work.accumulate) {
      add_in_l2(reinterpret_cast<float*>(at), value);
    } else {
      *reinterpret_cast<float4*>(at) = value;
    }
  }
}

template <class Plan, int kWave>
__device__ __forceinline__ void write_wave(const Consumer<Plan>& me,
                                           const GroupedShared<Plan>& shared,
                                           const GroupedWork& work, const GroupedTile& tile,
                                           const float (&acc)[64]) {
  using Out = typename Plan::Output;
  const int row_in_tile = me.row0 + 64 * kWave + 16 * me.warp;
  const int rows = tile.rows - row_in_tile;
  const int columns = work.n - tile.column - me.column0;
  if (rows <= 0 || columns <= 0) return;
  // Groups along k have a result each, with all of its rows.
  const int64_t row = tile.row + row_in_tile +
                      (Plan::kGroupsAlongK ? static_cast<int64_t>(tile.group) * work.rows : 0);
  Out* to = static_cast<Out*>(work.y) + row * work.y_stride + tile.column + me.column0;
  char* corner = shared.corner(4 * me.index + me.warp);
  write_piece<Plan, 0>(me, corner, work, to, rows, columns, acc);
  write_piece<Plan, 1>(me, corner, work, to, rows, columns, acc);
  if constexpr (sizeof(Out) == 4) {
    write_piece<Plan, 2>(me, corner, work, to, rows, columns, acc);
    write_piece<Plan, 3>(me, corner, work, to, rows, columns, acc);
  }
}

}  // namespace hadal::cuda
