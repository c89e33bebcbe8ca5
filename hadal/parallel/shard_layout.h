// parallel/shard_layout.h: how the holders of a parameter share out its update (ZeRO-1, arXiv:1910.02054).
//
// A parameter is cut into units: a vector is one, of a matrix 128 rows are, so that FP8 blocks
// (tensor/quantized.h) stay whole. Where rows are no multiple of 64 wide a unit is as many more rows as it
// takes to be a multiple of the norm's blocks (ops/elementwise.h). Each unit has one owner among the
// holders. Units of parameters with equal holders travel together, in buckets. Pure: all holders compute
// the same.
#pragma once

#include <vector>

#include "hadal/parallel/holders.h"

namespace hadal {

constexpr int64_t kBucketBytes = int64_t{32} << 20;  // of F32 gradients

struct ShardUnit {
  size_t param = 0;             // in the rank's own list
  int64_t first = 0, last = 0;  // rows, of a vector elements
  int64_t elements = 0;
  size_t owner = 0;  // in the group's ranks
};

using Bucket = std::vector<ShardUnit>;

struct HolderGroup {
  std::vector<int> ranks;       // world ranks, ascending
  std::vector<Bucket> buckets;  // its parameters in their order; none has those of two layers
};

struct HeldParameter {
  int64_t position;  // in the whole model
  Tensor::Shape shape;
  int64_t layer = -1;  // of the decoder; -1: none of them
};

// The groups that `rank` is in, in the order of Holders::groups, of its parameters that are trained.
std::vector<HolderGroup> shard_layout(const Holders& holders, int rank,
                                      const std::vector<HeldParameter>& params,
                                      int64_t bucket_bytes = kBucketBytes);

int64_t unit_rows(const Tensor::Shape& shape);

}  // namespace hadal
