#include "hadal/ops/adamw_update.h"

#include "hadal/kernels/adamw_update.h"

namespace hadal {
namespace {

template <class Moment>
void update(Context& ctx, Tensor& value, Tensor& m, Tensor& v, const Tensor& grad,
            const AdamwStep& step) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::adamw_update<Moment>(value.flat<float>(), m.flat<Moment>(),
                                             v.flat<Moment>(), grad.flat<float>(), step);
    case Device::kCpu:
      return cpu::adamw_update(ctx.pool, value.flat<float>(), m.flat<Moment>(), v.flat<Moment>(),
                               grad.flat<float>(), step);
    case Device::kCuda:
      return cuda::adamw_update(*ctx.stream, value.flat<float>(), m.flat<Moment>(),
                                v.flat<Moment>(), grad.flat<float>(), step);
  }
}

}  // namespace

void adamw_update(Context& ctx, Tensor& value, Tensor& m, Tensor& v, const Tensor& grad,
                  const AdamwStep& step) {
  if (m.size() != value.size() || v.size() != value.size() || grad.size() != value.size()) {
    throw ShapeError(concat("adamw_update: got m ", shape_text(m.shape()), ", v ",
                            shape_text(v.shape()), ", grad ", shape_text(grad.shape()),
                            ", want the size of ", shape_text(value.shape())));
  }
  if (m.dtype() == DType::kBF16) return update<bf16>(ctx, value, m, v, grad, step);
  update<float>(ctx, value, m, v, grad, step);
}

}  // namespace hadal
