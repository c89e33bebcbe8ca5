// kernels/cuda/hopper/grouped_gemm.cuh: the kernel behind grouped_gemm.h.
//
// A block is one producer warpgroup, of which one thread keeps the copy engine busy, and two consumer
// warpgroups, each with its own part of the tile in registers. They share a ring of stages: `full[s]` tells
// that stage s has its bytes, `empty[s]` that every consumer warp of the cluster is done with it. Blocks
// of a cluster work on neighbouring columns of the same rows: each loads its share of `a` for all.
//
// E4M3: the matrix unit's accumulator keeps about 14 bits, so every 128 products start from zero and
// are added to f32 registers with their scales: c = fma(sum, sa * sb, c). BF16: one accumulator over
// all of k. Either way an element's operations and their order are those of its row, column and k alone, so
// its bits do not depend on tile shapes or on company.
//
// Not yet run on a card.
#pragma once

#include "hadal/kernels/cuda/hopper/grouped_plan.cuh"
#include "hadal/kernels/cuda/hopper/grouped_results.cuh"

namespace hadal::cuda {

// ---- The producer: one thread.

template <class Plan>
__device__ __forceinline__ void load_a(const CUtensorMap* map, char* to, uint64_t* full, int row,
                                       int k, int rank) {
  constexpr uint16_t kAll = (1 << Plan::kCluster) - 1;
  if constexpr (Plan::kAAcross) {
    constexpr int kBoxes = Plan::kTileM / 64 / Plan::kCluster;
#pragma unroll
    for (int i = 0; i < kBoxes; ++i) {
      const int box = rank * kBoxes + i;
      char* box_to = to + box * Plan::kBoxBytes;
      if constexpr (Plan::kCluster > 1) {
        load_box_to_all(box_to, map, full, row + box * 64, k, kAll);
      } else {
        load_box(box_to, map, full, row + box * 64, k);
      }
    }
  } else {
    constexpr int kRows = Plan::kTileM / Plan::kCluster;
    if constexpr (Plan::kCluster > 1) {
      load_box_to_all(to + rank * kRows * 128, map, full, k, row + rank * kRows, kAll);
    } else {
      load_box(to, map, full, k, row);
    }
  }
}

template <class Plan>
__device__ __forceinline__ void load_b(const CUtensorMap* map, char* to, uint64_t* full, int column,
                                       int k, int group) {
  if constexpr (Plan::kBAcross) {
#pragma unroll
    for (int box = 0; box < Plan::kTileN / 64; ++box) {
      load_box(to + box * Plan::kBoxBytes, map, full, column + box * 64, k, group);
    }
  } else {
    load_box(to, map, full, k, column, group);
  }
}

template <class Plan>
__device__ void produce(const GroupedMaps& maps, const GroupedShared<Plan>& shared,
                        const GroupedWork& work, int rank) {
  typename Plan::Tiles tiles(work);
  Ring<Plan::kStages> place;
  GroupedTile tile;
  while (tiles.next(tile)) {
#pragma unroll 1
    for (int block = 0; block < tile.k_blocks; ++block, place.advance()) {
      const int k = tile.k + block * Plan::kTileK;
      uint64_t* full = shared.full(place.stage);
      barrier_wait_bounded(shared.empty(place.stage), place.parity ^ 1);
      barrier_expect(full, Plan::kStageBytes);
      load_a<Plan>(&maps.a, shared.a(place.stage), full, tile.row, k, rank);
      load_b<Plan>(&maps.b, shared.b(place.stage), full, tile.column, k,
                   Plan::kGroupsAlongK ? 0 : tile.group);
      if constexpr (Plan::kAScaleBytes > 0) {
        load_box(shared.a_scales(place.stage), &maps.a_scales, full, tile.row, k / Plan::kTileK);
      }
      if constexpr (Plan::kBScaleBytes > 0) {
        load_box(shared.b_scales(place.stage), &maps.b_scales, full, tile.column, k / Plan::kTileK);
      }
    }
  }
}

// ---- The consumers.

// E4M3: acc = fma(sum over 128, sa * sb, acc), block after block.
template <class Plan>
__device__ __forceinline__ void multiply_scaled(const Consumer<Plan>& me,
                                                const GroupedShared<Plan>& shared,
                                                Ring<Plan::kStages>& place, const GroupedTile& tile,
                                                const GroupedWork& work, Accumulators<Plan>& acc) {
  using Me = Consumer<Plan>;
  constexpr bool kRows = Plan::kScales == GemmScales::kRowsAndRows;
  const int column_blocks = (work.n + 127) / 128;
  const int column_block = min((tile.column + me.column0) / 128, column_blocks - 1);
  const float* b_block_scales =
      work.b_scales +
      (static_cast<int64_t>(tile.group) * column_blocks + column_block) * work.b_scale_stride;
#pragma unroll 1
  for (int block = 0; block < tile.k_blocks; ++block, place.advance()) {
    float block_scale = 0;
    if constexpr (!kRows) block_scale = __ldg(b_block_scales + block);
    barrier_wait_bounded(shared.full(place.stage), place.parity);
    const float* a_scales = shared.a_scales(place.stage) + me.row0 + me.row_in_wave();
    const auto b = me.b(shared.b(place.stage));
    const float2* column_scales = reinterpret_cast<const float2*>(shared.b_scales(place.stage) +
                                                                  me.column0 + 2 * (me.lane % 4));
    float sum[64];
#pragma unroll
    for (int wave = 0; wave < Plan::kWaves; ++wave) {
      const auto a = me.a(shared.a(place.stage), wave);
      products_fence();
#pragma unroll
      for (uint32_t step = 0; step < 4; ++step) {
        product_e4m3(sum, a.at(step * Me::kAStep), b.at(step * Me::kBStep), step > 0);
      }
      products_commit();
      float upper = a_scales[64 * wave], lower = a_scales[64 * wave + 8];
      if constexpr (!kRows) {
        upper *= block_scale;
        lower *= block_scale;
      }
      products_wait<0>();
      hold(sum);
      if (!kRows && wave == Plan::kWaves - 1) me.release(shared.empty(place.stage));
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        const float2 column = kRows ? column_scales[4 * j] : make_float2(1, 1);
        const float scale[4] = {kRows ? upper * column.x : upper, kRows ? upper * column.y : upper,
                                kRows ? lower * column.x : lower, kRows ? lower * column.y : lower};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          acc[wave][4 * j + i] = fmaf(sum[4 * j + i], scale[i], acc[wave][4 * j + i]);
        }
      }
      if (kRows && wave == Plan::kWaves - 1) me.release(shared.empty(place.stage));
    }
  }
}

// Groups along k may end inside a block: what follows belongs to the next group and must not be summed. Both
// operands are cleared, because a NaN there times zero would be one here.
template <class Plan>
__device__ void clear_k_from(const Consumer<Plan>& me, const char* a, const char* b, int k) {
  static_assert(!Plan::kGroupsAlongK || (Plan::kAAcross && Plan::kBAcross) ||
                Plan::kScales != GemmScales::kNone);
  const auto clear = [&](const char* box) {
    SwizzledRows<128>::clear_from(shared_address(box), k, Plan::kTileK,
                                  static_cast<int>(threadIdx.x) % 128, 128);
  };
  for (int wave = 0; wave < Plan::kWaves; ++wave) clear(a + (me.row0 + 64 * wave) * 128);
  for (int box = 0; box < 2; ++box) clear(b + me.column0 * 128 + box * Plan::kBoxBytes);
  fence_async();
  me.sync();
}

// BF16: one chain of products over all of k.
template <class Plan>
__device__ __forceinline__ void multiply_plain(const Consumer<Plan>& me,
                                               const GroupedShared<Plan>& shared,
                                               Ring<Plan::kStages>& place, const GroupedTile& tile,
                                               Accumulators<Plan>& acc) {
  using Me = Consumer<Plan>;
  uint64_t* before = nullptr;  // the stage of the block before, still being read
#pragma unroll 1
  for (int block = 0; block < tile.k_blocks; ++block, place.advance()) {
    barrier_wait_bounded(shared.full(place.stage), place.parity);
    if constexpr (Plan::kGroupsAlongK) {
      const int left = tile.k_end - tile.k - block * Plan::kTileK;
      if (left < Plan::kTileK) {
        clear_k_from(me, shared.a(place.stage), shared.b(place.stage), left);
      }
    }
    const auto b = me.b(shared.b(place.stage));
    products_fence();
#pragma unroll
    for (int wave = 0; wave < Plan::kWaves; ++wave) {
      const auto a = me.a(shared.a(place.stage), wave);
#pragma unroll
      for (uint32_t step = 0; step < 4; ++step) {
        product_bf16<Plan::kAAcross, Plan::kBAcross>(acc[wave], a.at(step * Me::kAStep),
                                                     b.at(step * Me::kBStep), true);
      }
    }
    products_commit();
    products_wait<1>();
    if (before != nullptr) me.release(before);
    before = shared.empty(place.stage);
  }
  products_wait<0>();
#pragma unroll
  for (int wave = 0; wave < Plan::kWaves; ++wave) hold(acc[wave]);
  if (before != nullptr) me.release(before);
}

template <class Plan>
__device__ void consume(const GroupedShared<Plan>& shared, const GroupedWork& work) {
  const Consumer<Plan> me;
  typename Plan::Tiles tiles(work);
  Ring<Plan::kStages> place;
  GroupedTile tile;
  while (tiles.next(tile)) {
    Accumulators<Plan> acc;
#pragma unroll
    for (int wave = 0; wave < Plan::kWaves; ++wave) {
#pragma unroll
      for (int i = 0; i < 64; ++i) acc[wave][i] = 0;
    }
    if constexpr (Plan::kScales == GemmScales::kNone) {
      multiply_plain(me, shared, place, tile, acc);
    } else {
      multiply_scaled(me, shared, place, tile, work, acc);
    }
    write_wave<Plan, 0>(me, shared, work, tile, acc[0]);
    if constexpr (Plan::kWaves == 2) write_wave<Plan, 1>(me, shared, work, tile, acc[1]);
  }
}

template <class Plan>
__global__ void __launch_bounds__(Plan::kThreads, 1)
    grouped_gemm(const __grid_constant__ GroupedMaps maps,
                 const __grid_constant__ GroupedWork work) {
  extern __shared__ __align__(1024) char memory[];
  const GroupedShared<Plan> shared{memory};
  const int rank = Plan::kCluster > 1 ? static_cast<int>(cluster_rank()) : 0;
  if (threadIdx.x == 0) {
    if (shared_address(memory) % 1024 != 0) __trap();  // the swizzle counts from there
    for (int stage = 0; stage < Plan::kStages; ++stage) {
      barrier_init(shared.full(stage), 1);
      barrier_init(shared.empty(stage), 8 * Plan::kCluster);
    }
    barrier_init_done();
    prefetch_map(&maps.a);
    prefetch_map(&maps.b);
  }
  if constexpr (Plan::kCluster > 1) {
    cluster_sync();
  } else {
    __syncthreads();
  }
  if (threadIdx.x < 128) {
    give_registers<40>();
    if (threadIdx.x == 0) produce<Plan>(maps, shared, work, rank);
  } else {
    take_registers<232>();
    consume<Plan>(shared, work);
  }
  // The other block may still write here or arrive at a barrier here.
  if constexpr (Plan::kCluster > 1) {
    __syncwarp();
    cluster_sync();
  }
}

}  // namespace hadal::cuda
