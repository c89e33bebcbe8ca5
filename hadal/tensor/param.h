// tensor/param.h: one learnable tensor: its value, and its gradient when training.
#pragma once

#include "hadal/tensor/tensor.h"
#include "hadal/tensor/weight_view.h"

namespace hadal {

struct Param {
  Tensor value;      // matrices [out, in]; vectors [d]. F32 when training; F32, BF16, F16 to run
  Tensor grad;       // F32, same shape; without data unless training
  bool fp8 = false;  // stored as FP8 blocks in the checkpoint: its linear is one of the FP8 linears

  WeightView weight() const { return WeightView(value); }
  void allocate_grad(Arena& arena) { grad = Tensor::zeros(arena, DType::kF32, value.shape()); }
};

}  // namespace hadal
