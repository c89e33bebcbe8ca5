// nn/pass.h: what all layers share in one pass of one micro-batch. A value: it may outlive its maker,
// as a pipeline's chunk does.
#pragma once

#include <vector>

#include "hadal/nn/recompute.h"
#include "hadal/ops/rope_yarn.h"
#include "hadal/ops/router.h"
#include "hadal/ops/sequences.h"

namespace hadal {

// What the routers need to know about the balance loss.
struct BalanceLoss {
  float alpha = 0.0F;       // weight of its gradient
  float loss_scale = 1.0F;  // share of this micro-batch's sequences in the batch
  BalanceCount count = BalanceCount::kUnbiasedTopK;
  bool on = false;  // inference leaves it out altogether
};

struct Pass {
  Sequences sequences;
  std::vector<int32_t> positions;   // of every row within its sequence
  const RopeTable* rope = nullptr;  // the model's; outlives the pass
  BalanceLoss balance;
  Recompute recompute;

  static Pass over(Sequences sequences, const RopeTable& rope, const BalanceLoss& balance = {}) {
    Pass pass{std::move(sequences), {}, &rope, balance, {}};
    pass.positions.reserve(static_cast<size_t>(pass.sequences.tokens()));
    for (int64_t s = 0; s < pass.sequences.n(); ++s) {
      for (int64_t i = 0; i < pass.sequences.length(s); ++i) {
        pass.positions.push_back(static_cast<int32_t>(i));
      }
    }
    return pass;
  }
};

}  // namespace hadal
