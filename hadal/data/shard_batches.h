// data/shard_batches.h: token shards as training batches (shuffled, endless, resumable) and as
// held-out batches (in order, once).
#pragma once

#include "hadal/data/batch.h"
#include "hadal/data/shuffled_order.h"
#include "hadal/data/token_shards.h"

namespace hadal {

// Rows [begin, begin + n) as they stand. A kPadToken becomes the input `pad_as`; it and the token
// after it are targets -1, which cross_entropy ignores.
Batch read_batch(const TokenShards& shards, int64_t begin, int64_t n, int32_t pad_as);

class ShardBatches final : public BatchSource {
 public:
  // FormatError if there is no row.
  ShardBatches(TokenShards shards, uint64_t seed, int32_t pad_as);
  Batch next(int64_t n_sequences) override;
  Json position() const override;
  void restore(const Json& position) override;
  int64_t n_sequences() const override { return shards_.n_rows(); }

 private:
  TokenShards shards_;
  uint64_t seed_;
  int32_t pad_as_;
  int64_t epoch_ = 0, cursor_ = 0;
  ShuffledOrder order_;
};

}  // namespace hadal
