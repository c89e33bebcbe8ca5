#include "hadal/model/stage.h"

namespace hadal {

std::vector<StageCut> even_cuts(const ModelConfig& config, int64_t n) {
  std::vector<StageCut> cuts;
  int64_t next = 0;
  for (int64_t stage = 0; stage < n; ++stage) {
    const int64_t length = config.n_layers / n + (stage < config.n_layers % n ? 1 : 0);
    cuts.push_back({.embedding = stage == 0,
                    .first_layer = next,
                    .last_layer = next + length,
                    .heads = stage == n - 1});
    next += length;
  }
  return cuts;
}

StageRows StageRows::of(const MicroBatch& batch, const LossWeights& weights, int64_t n_mtp,
                        const RecomputePolicy& recompute) {
  return {.tokens = batch.tokens,
          .targets = batch.targets,
          .sequences = Sequences::equal(batch.n_sequences, batch.length),
          .balance = balance_of(batch, weights),
          .per_target = hadal::per_target(batch),
          .mtp_weight = double{weights.mtp} / static_cast<double>(n_mtp),
          .recompute = recompute};
}

}  // namespace hadal
