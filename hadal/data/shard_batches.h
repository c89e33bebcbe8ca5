// data/shard_batches.h: token shards as training batches (shuffled, endless, resumable) and as
// held-out batches (in order, once).
#pragma once

#include "hadal/core/shuffled_order.h"
#include "hadal/data/batch.h"
#include "hadal/data/token_shards.h"

namespace hadal {

// Rows [begin, begin + n) as they stand. A kPadToken becomes the input `pad_as`; it and the token
// after it are targets -1, which cross_entropy ignores.
Batch read_batch(const TokenShards& shards, int64_t begin, int64_t n, int32_t pad_as);

class ShardBatches final : public BatchSource {
 public:
  // The first pass is over the first `first_pass_rows` rows, every later one over all.
  // FormatError if there is no row.
  ShardBatches(TokenShards shards, int64_t first_pass_rows, uint64_t seed, int32_t pad_as);
  Batch next(int64_t n_sequences) override;
  Json position() const override;
  void restore(const Json& position) override;
  int64_t n_sequences() const override { return shards_.n_rows(); }

 private:
  int64_t pass_rows() const { return epoch_ == 0 ? first_pass_rows_ : shards_.n_rows(); }
  ShuffledOrder order() const;

  TokenShards shards_;
  int64_t first_pass_rows_;
  uint64_t seed_;
  int32_t pad_as_;
  int64_t epoch_ = 0, cursor_ = 0;
  ShuffledOrder order_;
};

// The rows whose text counts as read at `position`: those that the running pass has handed out and
// those that a first pass over a part leaves out; in file order.
std::vector<int64_t> rows_read(const TokenShards& shards, int64_t first_pass_rows,
                               const Json& position);

}  // namespace hadal
