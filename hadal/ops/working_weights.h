// ops/working_weights.h: the form in which products read a weight in BF16 and FP8 training, made
// straight from the F32 master: no BF16 copy stands between a master and its codes.
#pragma once

#include <span>

#include "hadal/ops/copy.h"
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

// Rows of a weight whose master is elsewhere, of `masters` F32 [rows, cols]: what the whole's remaking
// makes of them, into a working form that is there already. REQUIRES that `first` is a multiple of
// kFp8Tile and that the rows end at another or with the weight; on the host.
struct WorkingRows {
  Param* weight;
  WorkingForm form;
  int64_t first;
  const Tensor* masters;
};
void remake_working_rows(Context& ctx, std::span<const WorkingRows> rows);

// Where rows [first, last) of what products read lie, of a vector elements: one stretch of the host's
// memory, or of codes two.
Stretches working_bytes(Param& weight, WorkingForm form, int64_t first, int64_t last);

}  // namespace hadal
