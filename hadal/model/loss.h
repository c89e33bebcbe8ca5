// model/loss.h: what a training pass minimises, and what it reports.
//
//   total = ce + mtp/D sum_k L_k + balance sum_layers sum_i f_i P_i      D = n_mtp
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/nn/moe.h"

namespace hadal {

struct LossWeights {
  float mtp = 0.3F;       // lambda
  float balance = 1e-4F;  // alpha
  BalanceCount balance_count = BalanceCount::kUnbiasedTopK;
};

// Means over the global batch, unweighted. A batch cut into micro-batches adds them up.
struct LossParts {
  double ce = 0;
  double balance = 0;       // sum over MoE layers of sum_i f_i P_i, mean over sequences
  std::vector<double> mtp;  // L_k, k = 1..D
  double total(const LossWeights& weights) const;
  void add(const LossParts& other);
};

// Tokens per expert, [layer][expert], MTP layers last; dense layers have an empty row.
using ExpertLoad = std::vector<std::vector<int64_t>>;
void add_load(ExpertLoad& sum, const ExpertLoad& load);  // `sum` is shaped on first use

}  // namespace hadal
