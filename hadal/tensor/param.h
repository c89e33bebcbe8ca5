// tensor/param.h: one learnable tensor: the values that training moves, their gradient, and the form
// in which products read a matrix.
#pragma once

#include <variant>

#include "hadal/tensor/weight_view.h"

namespace hadal {

struct Param {
  // F32: matrices [out, in], vectors [d]. Has its shape from the start, and no data in a model that
  // runs weights as they are stored: then `working` has them.
  Tensor master;
  Tensor grad;  // F32, same shape; without data unless training
  // What products read instead of the master: BF16 or F16 values, or codes with their scales.
  std::variant<std::monostate, Tensor, Quantized> working;

  const Tensor::Shape& shape() const { return master.shape(); }
  bool has_values() const {
    return master.has_data() || !std::holds_alternative<std::monostate>(working);
  }
  WeightView weight() const {
    if (const auto* plain = std::get_if<Tensor>(&working)) return WeightView(*plain);
    if (const auto* codes = std::get_if<Quantized>(&working)) return WeightView(*codes);
    return WeightView(master);
  }
  // The same values once more, without a gradient.
  Param share_values() const {
    Param same;
    same.master = master.share();
    if (const auto* plain = std::get_if<Tensor>(&working)) same.working = plain->share();
    if (const auto* codes = std::get_if<Quantized>(&working)) same.working = codes->share();
    return same;
  }
  void allocate_grad(Arena& arena) { grad = Tensor::zeros(arena, DType::kF32, shape()); }
};

}  // namespace hadal
