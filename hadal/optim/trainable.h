// optim/trainable.h: what the optimizer sees of a model: parameters with names, no layers.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/function_ref.h"
#include "hadal/tensor/context.h"
#include "hadal/tensor/param.h"

namespace hadal {

struct Trainable {
  std::string name;   // for messages and checkpoints
  Param* param;       // value F32, grad allocated
  bool decay = true;  // weight decay: matrices yes, norms no (our choice)
};

// body(i) once for every parameter. Small tensors are dealt out whole, one thread each: an MoE
// model has hundreds of expert matrices, and a parallel region per matrix would cost more than its
// work. Large ones run one after another with all threads inside.
void for_each_trainable(Context& ctx, const std::vector<Trainable>& params,
                        FunctionRef<void(size_t)> body);

}  // namespace hadal
