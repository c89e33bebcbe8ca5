#include "hadal/ops/adamw_update.h"

#include "hadal/kernels/adamw_update.h"

namespace hadal {
namespace {

template <class Moment>
void update(Context& ctx, std::span<float> value, Tensor& m, Tensor& v, std::span<const float> grad,
            const AdamwStep& step) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::adamw_update<Moment>(value, m.flat<Moment>(), v.flat<Moment>(), grad, step);
    case Device::kCpu:
      return cpu::adamw_update(ctx.pool, value, m.flat<Moment>(), v.flat<Moment>(), grad, step);
    case Device::kCuda:
      return cuda::adamw_update(*ctx.stream, value, m.flat<Moment>(), v.flat<Moment>(), grad, step);
  }
}

}  // namespace

void adamw_update(Context& ctx, std::span<float> value, Tensor& m, Tensor& v,
                  std::span<const float> grad, const AdamwStep& step) {
  const auto n = static_cast<int64_t>(value.size());
  if (m.size() != n || v.size() != n || grad.size() != value.size()) {
    throw ShapeError(concat("adamw_update: got m ", shape_text(m.shape()), ", v ",
                            shape_text(v.shape()), ", grad [", grad.size(), "], want ", n,
                            " elements"));
  }
  if (m.dtype() == DType::kBF16) return update<bf16>(ctx, value, m, v, grad, step);
  update<float>(ctx, value, m, v, grad, step);
}

}  // namespace hadal
