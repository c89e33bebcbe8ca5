#include "hadal/spread/expert_share.h"

#include "hadal/core/error.h"

namespace hadal {

HeldPart share_of_experts(const ModelConfig& config, int n_ranks, int rank) {
  const int64_t n_experts = config.router.n_routed_experts;
  require(n_experts % n_ranks == 0,
          {.field = "ranks",
           .problem = "cannot share out the routed experts of a layer evenly",
           .found = {n_ranks, " ranks for ", n_experts, " experts"},
           .expected = {"a divisor of ", n_experts},
           .advice = "start another number of processes"});
  HeldPart part = HeldPart::whole(config);
  const int64_t n = n_experts / n_ranks;
  part.experts = {rank * n, (rank + 1) * n};
  return part;
}

}  // namespace hadal
