#include "hadal/train/held_out.h"

#include <algorithm>

namespace hadal {

std::vector<HeldOutBatch> held_out_rows(const PreparedData& data, const ModelConfig& shape,
                                        int64_t count, int64_t seq_len) {
  const int64_t rows = data.validation_rows();
  const int64_t used = std::min(rows, count);
  const int64_t at_once = evaluation_batch(shape, seq_len);
  std::vector<HeldOutBatch> result;
  for (int64_t i = 0; i < used; ++i) {
    const Batch row = data.validation_batch(i * rows / used, 1);
    if (i % at_once == 0) result.push_back({Batch{0, seq_len, {}, {}}, 0});
    auto& [batch, bytes] = result.back();
    ++batch.n_sequences;
    batch.tokens.insert(batch.tokens.end(), row.tokens.begin(), row.tokens.end());
    batch.targets.insert(batch.targets.end(), row.targets.begin(), row.targets.end());
    bytes += data.target_bytes(row);
  }
  return result;
}

}  // namespace hadal
