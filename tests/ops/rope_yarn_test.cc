#include "hadal/ops/rope_yarn.h"

#include "hadal/kernels/rope.h"
#include "tests/ops/golden_units.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

// The three configurations of unit.json.
RopeConfig config_of(const Json& unit) {
  RopeConfig config{.dim = unit.at("qk_rope_head_dim").as_integer(),
                    .theta = unit.at("rope_theta").as_number(),
                    .yarn = std::nullopt};
  const Json& scaling = unit.at("rope_scaling");
  if (!scaling.is_null()) {
    config.yarn = YarnConfig{
        .factor = scaling.at("factor").as_number(),
        .original_max_position = scaling.at("original_max_position_embeddings").as_integer(),
        .beta_fast = scaling.at("beta_fast").as_number(),
        .beta_slow = scaling.at("beta_slow").as_number(),
        .mscale = scaling.at("mscale").as_number(),
        .mscale_all_dim = scaling.at("mscale_all_dim").as_number()};
  }
  return config;
}

class RopeGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(RopeGolden, FrequenciesTablesAndTurns) {
  const GoldenUnits golden;
  const std::string name = GetParam();
  const Json& unit = golden.settings().at("rope").at(name);
  const RopeConfig config = config_of(unit);
  const std::string prefix = "rope." + name + ".";

  const std::vector<double> inv_freq = golden.f64(prefix + "inv_freq");
  expect_close(rope_inv_freq(config), inv_freq,
               {.element = 1e-14, .frobenius = 1e-14, .cosine = 0, .row_length = 1}, "inv_freq");
  EXPECT_NEAR(rope_magnitude(config), unit.at("cos_sin_magnitude").as_number(), 1e-14);
  const int64_t d_qk = unit.at("qk_nope_head_dim").as_integer() + config.dim;
  EXPECT_NEAR(softmax_scale(config, d_qk), unit.at("softmax_scale").as_number(), 1e-14);

  std::vector<int32_t> positions;
  for (const Json& position : unit.at("positions").as_array()) {
    positions.push_back(static_cast<int32_t>(position.as_integer()));
  }
  for (const Device device : all_devices()) {
    Machine machine(device, 2);
    const RopeTable table = RopeTable::make(machine.ctx().arena, config, 1024);
    std::vector<float> cos, sin;
    for (const int32_t position : positions) {
      const auto cos_row = table.cos.mat().row(position), sin_row = table.sin.mat().row(position);
      cos.insert(cos.end(), cos_row.begin(), cos_row.end());
      sin.insert(sin.end(), sin_row.begin(), sin_row.end());
    }
    const Tolerance one_rounding = Tolerance::for_sum(1).in_rows_of(1);
    expect_close(cos, golden.f32(prefix + "cos"), one_rounding, "cos");
    expect_close(sin, golden.f32(prefix + "sin"), one_rounding, "sin");

    Tensor x = golden.tensor(prefix + "x").clone(machine.ctx().arena);
    rope_forward(machine.ctx(), x.view<float, 3>(), table, positions);
    expect_close(x, golden.tensor(prefix + "rotated"), Tolerance::for_sum(2), "rotated");
  }
}

INSTANTIATE_TEST_SUITE_P(Units, RopeGolden, ::testing::Values("v3", "uneven", "plain"));

// The table of docs/equations.md, "YaRN".
TEST(Yarn, SoftmaxScaleOfTheReleasedModels) {
  RopeConfig config;
  EXPECT_NEAR(softmax_scale(config, 192), 0.0721688, 5e-8);
  config.yarn = YarnConfig{};
  EXPECT_NEAR(softmax_scale(config, 192), 0.1352338, 5e-8);
  config.yarn->mscale = config.yarn->mscale_all_dim = 0.707;
  EXPECT_NEAR(softmax_scale(config, 192), 0.1147214, 5e-8);
  EXPECT_EQ(rope_magnitude(config), 1.0);
  config.yarn = YarnConfig{.factor = 32, .beta_fast = 1, .beta_slow = 1};
  EXPECT_NEAR(softmax_scale(config, 192), 0.1308608, 5e-8);
  config.yarn->mscale_all_dim = 0;  // absent: the scale stays, cos and sin still grow
  EXPECT_NEAR(softmax_scale(config, 192), 0.0721688, 5e-8);
  EXPECT_NEAR(rope_magnitude(config), 1.346574, 5e-7);
}

TEST(Yarn, RampBoundsOfTheReleasedModels) {
  // V3: pairs up to 10 keep their frequency, pairs from 23 are divided by 40.
  RopeConfig plain, v3;
  v3.yarn = YarnConfig{};
  const std::vector<double> base = rope_inv_freq(plain), stretched = rope_inv_freq(v3);
  for (size_t i = 0; i < 32; ++i) {
    const double ratio = stretched[i] / base[i];
    if (i <= 10) {
      EXPECT_DOUBLE_EQ(ratio, 1.0) << i;
    } else if (i < 23) {
      EXPECT_TRUE(ratio < 1.0 && ratio > 1.0 / 40) << i;
    } else {
      EXPECT_DOUBLE_EQ(ratio, 1.0 / 40) << i;
    }
  }
  // Kimi-K2: both betas 1, low 19 and high 20.
  RopeConfig k2{
      .dim = 64, .theta = 50000, .yarn = YarnConfig{.factor = 32, .beta_fast = 1, .beta_slow = 1}};
  RopeConfig k2_plain{.dim = 64, .theta = 50000, .yarn = std::nullopt};
  EXPECT_DOUBLE_EQ(rope_inv_freq(k2)[19], rope_inv_freq(k2_plain)[19]);
  EXPECT_DOUBLE_EQ(rope_inv_freq(k2)[20], rope_inv_freq(k2_plain)[20] / 32);
}

TEST(Yarn, EqualBoundsStepInsteadOfDividingByZero) {
  // So short an original context that low and high both clamp to 0: pair 0 keeps its frequency, all
  // others are interpolated, nothing is NaN.
  RopeConfig config{
      .dim = 8, .theta = 10000, .yarn = YarnConfig{.factor = 4, .original_max_position = 6}};
  const std::vector<double> inv_freq = rope_inv_freq(config);
  EXPECT_DOUBLE_EQ(inv_freq[0], 1.0);
  EXPECT_DOUBLE_EQ(inv_freq[1], std::pow(10000.0, -0.25) / 4);
}

TEST(Rope, AgreesOnStridedHeads) {
  for (const int64_t T : {0, 1, 5, 200}) {
    for (const int64_t dim : {2, 6, 16, 34, 64}) {
      expect_backends_agree(
          [&](Context& ctx) -> Outputs {
            const RopeTable table =
                RopeTable::make(ctx.arena, {.dim = dim, .theta = 10000, .yarn = std::nullopt}, 512);
            const int64_t H = 3, width = dim + 5;  // the rotary columns of a wider tensor
            std::vector<float> memory = random_values(T * H * width, 1);
            std::vector<int32_t> positions;
            for (int64_t t = 0; t < T; ++t) positions.push_back(static_cast<int32_t>(t * 7 % 512));
            const View<float, 3> x(memory.data() + 5, {T, H, dim}, {H * width, width, 1});
            rope_forward(ctx, x, table, positions);
            const std::vector<float> turned = memory;
            rope_backward(ctx, x, table, positions);
            return {{turned, width}, {memory, width}};
          },
          Tolerance::for_sum(4), concat("T ", T, " dim ", dim));
    }
  }
}

TEST(Rope, BackwardIsTheTranspose) {
  // Rotation times magnitude: <rope(x), g> == <x, rope_backward(g)> for all x and g.
  const int64_t T = 4, H = 2, dim = 6;
  const std::vector<int32_t> positions = {0, 3, 1, 9};
  std::vector<double> cos(10 * 3), sin(10 * 3);
  for (size_t i = 0; i < cos.size(); ++i) {
    cos[i] = 1.3 * std::cos(static_cast<double>(i));
    sin[i] = 1.3 * std::sin(static_cast<double>(i));
  }
  const View<const double, 2> cos_v(cos.data(), {10, 3}), sin_v(sin.data(), {10, 3});
  std::vector<double> x = random_values<double>(T * H * dim, 1);
  const std::vector<double> g = random_values<double>(T * H * dim, 2);
  const auto loss = [&] {
    std::vector<double> y = x;
    reference::rope_turn<double>({y.data(), {T, H, dim}}, cos_v, sin_v, positions, +1);
    return weighted_sum(y, g);
  };
  std::vector<double> dx = g;
  reference::rope_turn<double>({dx.data(), {T, H, dim}}, cos_v, sin_v, positions, -1);
  expect_gradient(x, loss, dx, "dx");
}

TEST(Rope, RefusesPositionsBeyondItsTable) {
  Machine machine(Device::kCpu);
  const RopeTable table =
      RopeTable::make(machine.ctx().arena, {.dim = 4, .theta = 10000, .yarn = std::nullopt}, 8);
  std::vector<float> x(4);
  const View<float, 3> view(x.data(), {1, 1, 4});
  EXPECT_THROW(rope_forward(machine.ctx(), view, table, std::vector<int32_t>{8}), ShapeError);
  EXPECT_THROW(rope_forward(machine.ctx(), view, table, std::vector<int32_t>{-1}), ShapeError);
  EXPECT_THROW(rope_forward(machine.ctx(), view, table, std::vector<int32_t>{1, 2}), ShapeError);
  rope_forward(machine.ctx(), view, table, std::vector<int32_t>{7});
}

}  // namespace
}  // namespace hadal::test
