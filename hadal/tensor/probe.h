// tensor/probe.h: the one door through which intermediate values leave a running model.
// Layers offer named tensors; `hadal dump`, golden tests and metrics listen.
#pragma once

#include <string_view>

#include "hadal/tensor/tensor.h"

namespace hadal {

class Probe {
 public:
  virtual ~Probe() = default;
  // `layer` counts decoder layers, MTP layers after the main ones; -1 when it belongs to none.
  // Names in use: hidden, final_norm, logits, router.indices, router.gates, mtp.logits, mtp.hidden;
  // in FP8 training retile.before, then retile.after: codes cut again for a weight gradient.
  virtual void offer(std::string_view name, int layer, const Tensor& value) = 0;
};

}  // namespace hadal
