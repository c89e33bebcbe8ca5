// model/micro_batch.h: a part of the global batch, and what its size means for the losses.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "hadal/model/loss.h"

namespace hadal {

// B sequences of S tokens and their targets (tokens shifted by one). Losses are means over
// `batch_targets` targets of the whole global batch, so that micro-batches add.
struct MicroBatch {
  std::span<const int32_t> tokens, targets;  // [B*S]; target -1 = not counted
  int64_t n_sequences = 0, length = 0;
  int64_t batch_targets = 0, batch_sequences = 0;  // of the whole global batch
};

inline double per_target(const MicroBatch& batch) {
  return 1.0 / static_cast<double>(std::max<int64_t>(batch.batch_targets, 1));
}

inline BalanceLoss balance_of(const MicroBatch& batch, const LossWeights& weights) {
  const auto share =
      static_cast<float>(static_cast<double>(batch.n_sequences) /
                         static_cast<double>(std::max<int64_t>(batch.batch_sequences, 1)));
  return {weights.balance, share, weights.balance_count, true};
}

}  // namespace hadal
