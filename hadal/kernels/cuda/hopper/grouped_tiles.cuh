// kernels/cuda/hopper/grouped_tiles.cuh: which block of a persistent grid computes which tile, worked out on the
// device from the groups' extents, so that the host never waits to learn them.
#pragma once

#include <cstdint>

namespace hadal::cuda {

// What a product of grouped_gemm.h is, without its operands' addresses (the tensor maps have those).
struct GroupedWork {
  int groups = 1;
  const int32_t* offsets = nullptr;  // [groups+1], or null
  const int32_t* counts = nullptr;   // [groups], or null
  int rows = 0;                      // of all groups; with counts or groups along k: of each
  int n = 0;                         // columns of the result
  int k = 0;                         // summed elements; with groups along k: of all groups
  const float* b_scales = nullptr;   // [groups, ceil(n/128), b_scale_stride]
  int b_scale_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  bool accumulate = false;
};

struct GroupedTile {
  int group;
  int row,
      rows;    // first row of a (and, but with groups along k, of y); rows of the group from there
  int column;  // first column of y
  int k, k_blocks;  // first summed element, number of k-blocks
  int k_end;        // first summed element that is not the group's
};

// Tiles in an order in which blocks that run at the same time share operands in L2: bands of kBand tiles
// of rows, column by column. The blocks of a cluster take adjacent columns.
template <int kTileM, int kTileN, int kTileK, int kCluster, bool kGroupsAlongK>
class GroupedTiles {
 public:
  __device__ explicit GroupedTiles(const GroupedWork& work)
      : work_(work),
        unit_(static_cast<int>(blockIdx.x) / kCluster),
        rank_(static_cast<int>(blockIdx.x) % kCluster),
        column_units_((work.n + kTileN * kCluster - 1) / (kTileN * kCluster)) {
    read_group();
  }

  __device__ bool next(GroupedTile& tile) {
    for (;;) {
      while (group_ < work_.groups && unit_ >= first_unit_ + row_tiles_ * column_units_) {
        first_unit_ += row_tiles_ * column_units_;
        ++group_;
        read_group();
      }
      if (group_ >= work_.groups) return false;
      const int in_group = unit_ - first_unit_;
      unit_ += static_cast<int>(gridDim.x) / kCluster;
      const int band = in_group / (kBand * column_units_);
      const int in_band = in_group - band * kBand * column_units_;
      const int height = min(kBand, row_tiles_ - band * kBand);
      const int row_tile = band * kBand + in_band % height;
      tile.group = group_;
      tile.column = (in_band / height * kCluster + rank_) * kTileN;
      if constexpr (kGroupsAlongK) {
        tile.row = row_tile * kTileM;
        tile.rows = work_.rows - tile.row;
        tile.k = begin_;
        tile.k_end = begin_ + extent_;
        // An empty group adds nothing; where nothing is to be kept its zeros are written.
        if (extent_ == 0 && work_.accumulate) continue;
      } else {
        tile.row = begin_ + row_tile * kTileM;
        tile.rows = extent_ - row_tile * kTileM;
        tile.k = 0;
        tile.k_end = work_.k;
      }
      tile.k_blocks = (tile.k_end - tile.k + kTileK - 1) / kTileK;
      return true;
    }
  }

 private:
  static constexpr int kBand = 2048 / kTileM;

  __device__ void read_group() {
    if (group_ >= work_.groups) return;
    if (work_.offsets != nullptr) {
      begin_ = __ldg(work_.offsets + group_);
      extent_ = max(__ldg(work_.offsets + group_ + 1) - begin_, 0);
    } else {
      begin_ = group_ * work_.rows;
      extent_ = work_.counts != nullptr ? min(max(__ldg(work_.counts + group_), 0), work_.rows)
                                        : work_.rows;
    }
    row_tiles_ = ((kGroupsAlongK ? work_.rows : extent_) + kTileM - 1) / kTileM;
  }

  const GroupedWork& work_;
  int unit_, rank_, column_units_;
  int group_ = 0, first_unit_ = 0;              // the first tile of group_
  int begin_ = 0, extent_ = 0, row_tiles_ = 0;  // of group_
};

}  // namespace hadal::cuda
