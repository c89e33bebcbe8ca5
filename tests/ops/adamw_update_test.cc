#include "hadal/ops/adamw_update.h"

#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

AdamwStep some_step() {
  return {.lr = 2e-3F,
          .beta1 = 0.9F,
          .beta2 = 0.95F,
          .eps = 1e-6F,
          .weight_decay = 0.1F,
          .grad_scale = 0.7F,
          .bias1 = 1 - 0.9 * 0.9 * 0.9,
          .bias2 = 1 - 0.95 * 0.95 * 0.95};
}

Tensor filled(Context& ctx, const std::vector<float>& values, DType dtype = DType::kF32) {
  Tensor t = ctx.empty({static_cast<int64_t>(values.size())}, dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kBF16) {
      t.flat<bf16>()[i] = to_bf16(values[i]);
    } else {
      t.flat<float>()[i] = values[i];
    }
  }
  return t;
}

std::vector<float> floats(const Tensor& t) {
  std::vector<float> result;
  for (int64_t i = 0; i < t.size(); ++i) {
    const size_t at = static_cast<size_t>(i);
    result.push_back(t.dtype() == DType::kBF16 ? to_float(t.flat<bf16>()[at])
                                               : t.flat<float>()[at]);
  }
  return result;
}

TEST(AdamwUpdate, Agrees) {
  for (const int64_t n : {0, 1, 17, 1000, 30011}) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          std::vector<float> v_values = random_values(n, 3, 0.01);
          for (float& v : v_values) v = std::abs(v);
          Tensor value = filled(ctx, random_values(n, 1)),
                 m = filled(ctx, random_values(n, 2, 0.1));
          Tensor v = filled(ctx, v_values);
          const Tensor grad = filled(ctx, random_values(n, 4));
          // Old moment and gradient have either sign.
          const AdamwStep step = some_step();
          std::vector<double> m_terms;
          for (size_t i = 0; i < v_values.size(); ++i) {
            m_terms.push_back(std::abs(step.beta1 * m.flat<float>()[i]) +
                              std::abs((1 - step.beta1) * step.grad_scale * grad.flat<float>()[i]));
          }
          adamw_update(ctx, value.flat<float>(), m, v, grad.flat<float>(), step);
          return {{floats(value), 1}, {floats(m), 1, m_terms}, {floats(v), 1}};
        },
        Tolerance::for_sum(4), std::to_string(n));
  }
}

TEST(AdamwUpdate, HalfPrecisionMomentsRoundToNearestEven) {
  // beta1 = beta2 = 1/2, m = v = 0: m = g/2 and v = g^2/2 exactly; only the storage rounds.
  AdamwStep step = some_step();
  step.beta1 = step.beta2 = 0.5F;
  step.grad_scale = 1.0F;
  // g/2 = 1 + 2^-8 lies half way between two bf16 numbers: to even 1; 1 + 3 2^-8: to 1 + 2^-6.
  const std::vector<float> g = {2.0F + 0x1p-7F, 2.0F + 3 * 0x1p-7F, -2.0F - 0x1p-7F, 0.0F, 1e-30F};
  for (const Device device : all_devices()) {
    Machine machine(device);
    Context& ctx = machine.ctx();
    Tensor value = ctx.zeros({5}), m = ctx.zeros({5}, DType::kBF16),
           v = ctx.zeros({5}, DType::kBF16);
    adamw_update(ctx, value.flat<float>(), m, v, filled(ctx, g).flat<float>(), step);
    const std::vector<float> m_got = floats(m), v_got = floats(v);
    EXPECT_EQ(m_got[0], 1.0F);
    EXPECT_EQ(m_got[1], 1.0F + 0x1p-6F);
    EXPECT_EQ(m_got[2], -1.0F);
    for (size_t i = 0; i < g.size(); ++i) {
      EXPECT_EQ(m_got[i], to_float(to_bf16(0.5F * g[i])));
      EXPECT_EQ(v_got[i], to_float(to_bf16(0.5F * (g[i] * g[i]))));
    }
  }
}

TEST(AdamwUpdate, FirstStepMovesByTheLearningRateAndDecays) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    Context& ctx = machine.ctx();
    AdamwStep step{.lr = 0.01F,
                   .eps = 0.0F,
                   .weight_decay = 0.1F,
                   .bias1 = 1 - double{0.9F},
                   .bias2 = 1 - double{0.95F}};
    Tensor value = filled(ctx, {1.0F, 1.0F, 1.0F}), m = ctx.zeros({3}), v = ctx.zeros({3});
    adamw_update(ctx, value.flat<float>(), m, v, filled(ctx, {5.0F, -0.001F, 2.0F}).flat<float>(),
                 step);
    const std::vector<float> got = floats(value);
    EXPECT_NEAR(got[0], 0.999 - 0.01, 1e-6);
    EXPECT_NEAR(got[1], 0.999 + 0.01, 1e-6);
    EXPECT_NEAR(got[2], 0.999 - 0.01, 1e-6);
  }
}

TEST(AdamwUpdate, RefusesDifferentSizes) {
  Machine machine(Device::kCpu);
  Context& ctx = machine.ctx();
  Tensor value = ctx.zeros({3}), m = ctx.zeros({3}), v = ctx.zeros({2});
  EXPECT_THROW(
      adamw_update(ctx, value.flat<float>(), m, v, ctx.zeros({3}).flat<float>(), some_step()),
      ShapeError);
}

}  // namespace
}  // namespace hadal::test
