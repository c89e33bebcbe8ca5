#include "hadal/kernels/adamw_update.h"

#include "hadal/kernels/cuda/each.h"
#include "hadal/kernels/cuda/values.h"

namespace hadal::cuda {
namespace {

template <class Moment, int kWidth>
struct Updated {
  Pack<float, kWidth> value;
  Pack<Moment, kWidth> m, v;
};

template <class Moment>
struct Update {
  float* value;
  Moment *m, *v;
  const float* grad;
  AdamwStep step;
  float decay, rate, v_scale;

  template <int kWidth>
  __device__ Updated<Moment, kWidth> at(int64_t i) const {
    Updated<Moment, kWidth> result{load<kWidth>(value + i), load<kWidth>(m + i),
                                   load<kWidth>(v + i)};
    const auto gradient = load<kWidth>(grad + i);
    for (int j = 0; j < kWidth; ++j) {
      const float g = gradient.at[j] * step.grad_scale;
      const float m_new = step.beta1 * value_of(result.m.at[j]) + (1.0F - step.beta1) * g;
      const float v_new = step.beta2 * value_of(result.v.at[j]) + (1.0F - step.beta2) * (g * g);
      // The parameter moves by the moments before they are rounded for storage.
      result.value.at[j] =
          result.value.at[j] * decay - rate * m_new / (sqrtf(v_new * v_scale) + step.eps);
      result.m.at[j] = rounded_to<Moment>(m_new);
      result.v.at[j] = rounded_to<Moment>(v_new);
    }
    return result;
  }
  template <int kWidth>
  __device__ void store(int64_t i, const Updated<Moment, kWidth>& result) const {
    cuda::store(value + i, result.value);
    cuda::store(m + i, result.m);
    cuda::store(v + i, result.v);
  }
};

template <class Moment>
void update(Stream& stream, std::span<float> value, std::span<Moment> m, std::span<Moment> v,
            std::span<const float> grad, const AdamwStep& step) {
  const Update<Moment> body{value.data(),
                            m.data(),
                            v.data(),
                            grad.data(),
                            step,
                            1.0F - step.lr * step.weight_decay,
                            static_cast<float>(step.lr / step.bias1),
                            static_cast<float>(1.0 / step.bias2)};
  const bool fours =
      in_fours(body.value) && in_fours(body.m) && in_fours(body.v) && in_fours(body.grad);
  each_of_vector("adamw_update", stream, static_cast<int64_t>(value.size()), fours, body);
}

}  // namespace

void adamw_update(Stream& stream, std::span<float> value, std::span<float> m, std::span<float> v,
                  std::span<const float> grad, const AdamwStep& step) {
  update(stream, value, m, v, grad, step);
}

void adamw_update(Stream& stream, std::span<float> value, std::span<bf16> m, std::span<bf16> v,
                  std::span<const float> grad, const AdamwStep& step) {
  update(stream, value, m, v, grad, step);
}

}  // namespace hadal::cuda
