// reproduce/replay.h: one step of a run again, as it was and in FP32, to see which tensor went wrong.
//
// The run is trained again, bit for bit, from its newest checkpoint before that step, in a folder of its own:
// nothing of the run is touched. The step itself is computed twice from the same weights and the same batch
// and not taken. Its tensors are held against each other in the order in which they are computed: weights,
// outputs of the blocks (tensor/probe.h), the loss, then gradients from the last parameter to the first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hadal/core/json.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct ReplayRequest {
  std::string run;              // its folder
  std::optional<int64_t> step;  // none: offending_step()
  double departs_at =
      0.3;  // relative error from which a tensor may have departed (tensor_comparison.h)
};

// The step that a run should be asked about, and why: the last one of stability.jsonl, or else the one whose
// loss or gradient norm is most above the median of the 16 steps before it.
struct OffendingStep {
  int64_t step = 0;
  std::string why;
};
OffendingStep offending_step(const std::string& run_folder);

// {"step", "why", "from_step", "precision", "repeated", "loss", "grad_norm", "verdict", "first",
//  "tensors": [{"name", "kind", "largest", "largest_fp32", "not_finite", "not_finite_fp32", "error"}]}
// docs/packages.md. ConfigError for a step that the run does not have.
Json replay_step(Context& ctx, const ReplayRequest& request);

}  // namespace hadal
