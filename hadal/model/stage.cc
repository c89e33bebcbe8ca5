#include "hadal/model/stage.h"

namespace hadal {

std::vector<StageCut> cuts_of(const std::vector<int64_t>& n_layers) {
  std::vector<StageCut> cuts;
  int64_t next = 0;
  for (const int64_t length : n_layers) {
    cuts.push_back({.embedding = cuts.empty(),
                    .first_layer = next,
                    .last_layer = next + length,
                    .heads = cuts.size() + 1 == n_layers.size()});
    next += length;
  }
  return cuts;
}

std::vector<StageCut> even_cuts(const ModelConfig& config, int64_t n) {
  std::vector<int64_t> n_layers;
  for (int64_t stage = 0; stage < n; ++stage) {
    n_layers.push_back(config.n_layers / n + (stage < config.n_layers % n ? 1 : 0));
  }
  return cuts_of(n_layers);
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
