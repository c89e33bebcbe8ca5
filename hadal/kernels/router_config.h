// kernels/router_config.h: the settings of a router, shared by ops/router.h and its kernels.
#pragma once

#include <cstdint>

namespace hadal {

enum class ScoringFunction { kSigmoid, kSoftmax };
enum class TopkMethod { kNoauxTc, kGroupLimitedGreedy, kGreedy };

struct RouterConfig {  // defaults: DeepSeek-V3
  int64_t n_routed_experts = 256, top_k = 8, n_group = 8, topk_group = 4;
  ScoringFunction scoring = ScoringFunction::kSigmoid;
  TopkMethod method = TopkMethod::kNoauxTc;
  bool norm_topk_prob = true;
  float routed_scaling_factor = 2.5F;
  bool operator==(const RouterConfig&) const = default;
};

// Which experts count in f_i of the balance loss: the unbiased top-K (the report's equation) or the
// experts actually chosen (common code).
enum class BalanceCount { kUnbiasedTopK, kChosen };

}  // namespace hadal
