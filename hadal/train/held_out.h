// train/held_out.h: the rows of the validation split that every evaluation of a run scores.
#pragma once

#include <vector>

#include "hadal/data/dataset.h"
#include "hadal/train/evaluate.h"

namespace hadal {

// `count` rows spread evenly over the split (all of them if there are fewer), seq_len tokens each.
std::vector<HeldOutBatch> held_out_rows(const PreparedData& data, const ModelConfig& shape,
                                        int64_t count, int64_t seq_len);

}  // namespace hadal
