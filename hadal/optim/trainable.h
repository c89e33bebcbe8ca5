// optim/trainable.h: what the optimizer sees of a model: parameters with names, no layers; and of these
// whole ones or rows.
#pragma once

#include <span>
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

// Rows [first, last) of a matrix or elements of a vector: what is updated here. Others may be updated
// elsewhere.
struct Shard {
  size_t param = 0;  // in a list of Trainables
  int64_t first = 0, last = 0;
  // F32 [rows, cols], where the parameter's own master has no data: only its working form is whole.
  Tensor master = {};

  bool is_whole(const Trainable& of) const { return first == 0 && last == of.param->shape()[0]; }
  int64_t elements(const Trainable& of) const;
  std::span<float> values(const Trainable& of);
  std::span<float> gradient(const Trainable& of) const;
};
std::vector<Shard> whole_shards(const std::vector<Trainable>& params);

// body(i) once for every parameter. Small tensors are dealt out whole, one thread each: an MoE
// model has hundreds of expert matrices, and a parallel region per matrix would cost more than its
// work. Large ones run one after another with all threads inside.
void for_each_trainable(Context& ctx, const std::vector<Trainable>& params,
                        FunctionRef<void(size_t)> body);
// The same for shards.
void for_each_shard(Context& ctx, const std::vector<Trainable>& params,
                    const std::vector<Shard>& shards, FunctionRef<void(size_t)> body);

}  // namespace hadal
