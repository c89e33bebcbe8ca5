// tests/support/sparse_checkpoint.h: the folder of a model at its full size, as published: every name,
// type, shape and shard, and no data. Headers are written, the rest of each file is a hole that reads as
// zeros and takes no room on the disk.
#pragma once

#include <string>

#include "hadal/model/config.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::test {

// Bytes that the files seem to have. REQUIRES a file system with holes.
int64_t write_sparse_checkpoint(const std::string& folder, const ModelConfig& config,
                                WeightForm form, int64_t n_shards);

}  // namespace hadal::test
