// ops/working_weights.h: the form in which products read a weight in BF16 and FP8 training, made
// straight from the F32 master: no BF16 copy stands between a master and its codes.
#pragma once

#include <span>

#include "hadal/tensor/context.h"
#include "hadal/tensor/param.h"

namespace hadal {

enum class WorkingForm : uint8_t {
  kMaster,  // products read the master itself
  kBf16,
  kFp8,  // E4M3 blocks of 128x128, power-of-two scales
  kFp8F32Scales,
};

struct WorkingWeight {
  Param* weight;  // with its master; a matrix
  WorkingForm form;
};

// Small weights are dealt out whole: a model has hundreds of expert matrices, and a parallel region
// each would cost more than its work. Codes are remade where they lie.
void remake_working_weights(Context& ctx, std::span<const WorkingWeight> weights);

}  // namespace hadal
