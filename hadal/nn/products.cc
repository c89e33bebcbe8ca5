#include "hadal/nn/products.h"

namespace hadal {
namespace {

const Tensor* find_operand(const Products& products, const void* id, bool for_weight_gradient) {
  for (const Products::Operand& each : products.operands) {
    if (each.rounded == id && each.for_weight_gradient == for_weight_gradient) return &each.values;
  }
  return nullptr;
}

}  // namespace

View<const float, 2> Products::keep(const LinearInput& x) {
  const void* const id = x.rows().id();
  if (const Tensor* known = find_operand(*this, id, false)) return known->mat();
  sources.push_back(x.share());
  operands.push_back({id, false, x.f32(ctx)});
  return std::as_const(operands.back().values).mat();
}

View<const float, 2> Products::keep_for_weight_gradient(const LinearInput& x, Precision precision,
                                                        std::span<const int64_t> offsets) {
  const void* const id = x.id();
  if (const Tensor* known = find_operand(*this, id, true)) return known->mat();
  sources.push_back(x.share());
  operands.push_back({id, true, x.weight_gradient_operand(ctx, precision, offsets)});
  return std::as_const(operands.back().values).mat();
}

void Products::run() {
  if (!forward.empty()) gemm_nt(ctx, std::exchange(forward, {}));
  if (!input_gradients.empty()) gemm_nn(ctx, std::exchange(input_gradients, {}));
  if (!weight_gradients.empty()) gemm_tn(ctx, std::exchange(weight_gradients, {}));
  operands.clear();
  sources.clear();
}

}  // namespace hadal
