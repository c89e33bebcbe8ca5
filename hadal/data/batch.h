// data/batch.h: what the data room hands to training.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hadal/core/json.h"

namespace hadal {

struct Batch {
  int64_t n_sequences = 0, length = 0;
  std::vector<int32_t> tokens;   // [B*S]
  std::vector<int32_t> targets;  // [B*S] the next token of each
};

// Sequences of a token shard folder (data/token_shards.h) in a shuffled order that depends on the
// seed and the epoch only. `position` is everything needed to go on exactly where it stood.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual Batch next(int64_t n_sequences) = 0;
  virtual Json position() const = 0;
  virtual void restore(const Json& position) = 0;  // FormatError if it belongs to other data
  virtual int64_t n_sequences() const = 0;         // in one epoch
};

}  // namespace hadal
