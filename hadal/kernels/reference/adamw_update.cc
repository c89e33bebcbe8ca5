#include "hadal/kernels/adamw_update.h"

#include <cmath>
#include <type_traits>

namespace hadal::reference {
namespace {

float load(float value) noexcept { return value; }
float load(bf16 value) noexcept { return to_float(value); }

template <class Moment>
Moment store(float value) noexcept {
  if constexpr (std::is_same_v<Moment, bf16>) {
    return to_bf16(value);
  } else {
    return value;
  }
}

}  // namespace

template <class Moment>
void adamw_update(std::span<float> value, std::span<Moment> m, std::span<Moment> v,
                  std::span<const float> grad, const AdamwStep& step) noexcept {
  const float decay = 1.0F - step.lr * step.weight_decay;
  const float rate = static_cast<float>(step.lr / step.bias1);
  const float v_scale = static_cast<float>(1.0 / step.bias2);
  for (size_t i = 0; i < value.size(); ++i) {
    const float g = grad[i] * step.grad_scale;
    const float m_new = step.beta1 * load(m[i]) + (1.0F - step.beta1) * g;
    const float v_new = step.beta2 * load(v[i]) + (1.0F - step.beta2) * (g * g);
    // The parameter moves by the moments before they are rounded for storage.
    value[i] = value[i] * decay - rate * m_new / (std::sqrt(v_new * v_scale) + step.eps);
    m[i] = store<Moment>(m_new);
    v[i] = store<Moment>(v_new);
  }
}

template void adamw_update<float>(std::span<float>, std::span<float>, std::span<float>,
                                  std::span<const float>, const AdamwStep&) noexcept;
template void adamw_update<bf16>(std::span<float>, std::span<bf16>, std::span<bf16>,
                                 std::span<const float>, const AdamwStep&) noexcept;

}  // namespace hadal::reference
