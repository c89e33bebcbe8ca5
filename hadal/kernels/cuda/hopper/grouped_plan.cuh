// kernels/cuda/hopper/grouped_plan.cuh: the shape of a grouped product's block: tile, ring, shared memory, and
// which part each consumer has.
#pragma once

#include "hadal/kernels/cuda/hopper/grouped_tiles.cuh"
#include "hadal/kernels/cuda/hopper/products.cuh"

namespace hadal::cuda {

enum class GemmScales {
  kNone,
  kRowsAndBlocks,  // a: one a row and 128 summed elements; b: one for 128 rows and 128 summed elements
  kRowsAndRows,  // both one a row and 128 summed elements
};

struct GroupedMaps {
  CUtensorMap a, b, a_scales, b_scales;
};

// kWaves: 64-row products that a consumer does one after another; kSideBySide: whether the consumers
// share the rows and take 128 columns each, instead of sharing the columns.
template <class Input, class Out, GemmScales kScaling, bool kAcrossA, bool kAcrossB, int kWaves_,
          bool kSideBySide_, int kCluster_, bool kGroupsAlongK_>
struct GroupedPlan {
  static constexpr GemmScales kScales = kScaling;
  static constexpr bool kAAcross = kAcrossA, kBAcross = kAcrossB;
  static constexpr int kWaves = kWaves_;
  static constexpr bool kSideBySide = kSideBySide_;
  static constexpr int kCluster = kCluster_;
  static constexpr bool kGroupsAlongK = kGroupsAlongK_;
  using In = Input;
  using Output = Out;

  static constexpr int kTileM = 64 * kWaves * (kSideBySide ? 1 : 2);
  static constexpr int kTileN = kSideBySide ? 256 : 128;
  static constexpr int kTileK = 128 / static_cast<int>(sizeof(In));
  static constexpr int kBoxBytes = 8192;  // 64 rows of 128 bytes
  static constexpr int kABytes = kTileM * 128, kBBytes = kTileN * 128;
  static constexpr int kAScaleBytes = kScales == GemmScales::kNone ? 0 : kTileM * 4;
  static constexpr int kBScaleBytes = kScales == GemmScales::kRowsAndRows ? kTileN * 4 : 0;
  static constexpr int kStageBytes = kABytes + kBBytes + kAScaleBytes + kBScaleBytes;

  static constexpr int kSharedBytes = 232448;  // of a block on Hopper
  static constexpr int kBarrierBytes = 256;
  // Each consumer warp turns its results into whole lines in a corner of its own: 16 rows of 128 bytes.
  static constexpr int kCornerBytes = 16 * 128;
  static constexpr int kPieceColumns = 128 / static_cast<int>(sizeof(Out));
  static constexpr int kStagesThatFit =
      (kSharedBytes - kBarrierBytes - 8 * kCornerBytes) / kStageBytes;
  static constexpr int kStages = kStagesThatFit > 8 ? 8 : kStagesThatFit;
  static_assert(kStages >= 4);

  static constexpr int kAAt = 0, kBAt = kAAt + kStages * kABytes;
  static constexpr int kCornersAt = kBAt + kStages * kBBytes;
  static constexpr int kAScalesAt = kCornersAt + 8 * kCornerBytes;
  static constexpr int kBScalesAt = kAScalesAt + kStages * kAScaleBytes;
  static constexpr int kBarriersAt = kBScalesAt + kStages * kBScaleBytes;
  static constexpr int kBytes = kBarriersAt + kBarrierBytes;
  static_assert(2 * kStages * 8 <= kBarrierBytes && kBytes <= kSharedBytes);

  static constexpr int kThreads = 384;
  using Tiles = GroupedTiles<kTileM, kTileN, kTileK, kCluster, kGroupsAlongK>;
};

template <class Plan>
struct GroupedShared {
  char* base;
  __device__ char* a(int stage) const { return base + Plan::kAAt + stage * Plan::kABytes; }
  __device__ char* b(int stage) const { return base + Plan::kBAt + stage * Plan::kBBytes; }
  __device__ char* corner(int warp) const {
    return base + Plan::kCornersAt + warp * Plan::kCornerBytes;
  }
  __device__ float* a_scales(int stage) const {
    return reinterpret_cast<float*>(base + Plan::kAScalesAt + stage * Plan::kAScaleBytes);
  }
  __device__ float* b_scales(int stage) const {
    return reinterpret_cast<float*>(base + Plan::kBScalesAt + stage * Plan::kBScaleBytes);
  }
  __device__ uint64_t* full(int stage) const {
    return reinterpret_cast<uint64_t*>(base + Plan::kBarriersAt) + stage;
  }
  __device__ uint64_t* empty(int stage) const { return full(Plan::kStages + stage); }
};

// A consumer: 128 threads.
template <class Plan>
struct Consumer {
  int index;       // 0 or 1
  int warp, lane;  // in the warpgroup
  int row0;        // of its part in the tile
  int column0;

  __device__ Consumer()
      : index(static_cast<int>(threadIdx.x) / 128 - 1),
        warp(static_cast<int>(threadIdx.x) % 128 / 32),
        lane(static_cast<int>(threadIdx.x) % 32),
        row0(Plan::kSideBySide ? 0 : index * 64 * Plan::kWaves),
        column0(Plan::kSideBySide ? index * 128 : 0) {}
  __device__ int row_in_wave() const { return 16 * warp + lane / 4; }
  __device__ void sync() const { named_wait(1 + static_cast<uint32_t>(index), 128); }

  // 64 rows of 128 bytes are 8192 bytes in either orientation.
  using Rows = SwizzledRows<128>;
  __device__ static Rows::Operand operand(bool across, const char* stage, int row) {
    const uint32_t at = shared_address(stage) + static_cast<uint32_t>(row) * 128;
    return across ? Rows::across(at, Plan::kBoxBytes) : Rows::along(at);
  }
  __device__ Rows::Operand a(const char* stage, int wave) const {
    return operand(Plan::kAAcross, stage, row0 + 64 * wave);
  }
  __device__ Rows::Operand b(const char* stage) const {
    return operand(Plan::kBAcross, stage, column0);
  }
  static constexpr uint32_t kAStep = Plan::kAAcross ? Rows::kStepAcross : Rows::kStepAlong;
  static constexpr uint32_t kBStep = Plan::kBAcross ? Rows::kStepAcross : Rows::kStepAlong;

  // This warp reads the stage no more; told to every block that writes into it.
  __device__ void release(uint64_t* empty) const {
    if constexpr (Plan::kCluster > 1) {
      if (lane < Plan::kCluster) barrier_arrive(empty, static_cast<uint32_t>(lane));
    } else {
      if (lane == 0) barrier_arrive(empty);
    }
  }
};

template <class Plan>
using Accumulators = float[Plan::kWaves][64];

}  // namespace hadal::cuda
