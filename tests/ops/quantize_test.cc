#include "hadal/ops/quantize.h"

#include "hadal/core/checked_math.h"
#include "tests/ops/golden_units.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

std::vector<uint8_t> bits(const Tensor& codes) {
  std::vector<uint8_t> result;
  for (const f8e4m3 code : codes.flat<f8e4m3>()) result.push_back(code.bits);
  return result;
}

Quantized quantize(Context& ctx, const Tensor& x, const std::string& how,
                   const TileOptions& options) {
  const int64_t R = x.dim(0), C = x.dim(1);
  Quantized q{ctx.zeros({R, C}, DType::kF8E4M3), {}, kRowTiles, R, C};
  const View<f8e4m3, 2> codes = q.codes.view<f8e4m3, 2>();
  if (how == "blocks") {
    q.tiling = kWeightBlocks;
    q.scales = ctx.zeros({ceil_div(R, 128), ceil_div(C, 128)});
    quantize_blocks(ctx, codes, q.scales.mat(), x.mat(), options.power_of_two);
  } else if (how == "columns") {
    q.tiling = kColumnTiles;
    q.scales = ctx.zeros({ceil_div(R, 128), C});
    quantize_column_tiles(ctx, codes, q.scales.mat(), x.mat(), options);
  } else {
    q.scales = ctx.zeros({R, ceil_div(C, 128)});
    quantize_tiles(ctx, codes, q.scales.mat(), x.mat(), options);
  }
  return q;
}

// Values whose quotients by their scale are what `values` says: one row, amax 448, scale 1.
std::vector<uint8_t> codes_of(Context& ctx, std::vector<float> values) {
  std::vector<uint8_t> result;
  for (size_t begin = 0; begin < values.size(); begin += 127) {
    const size_t n = std::min<size_t>(127, values.size() - begin);
    Tensor x = ctx.zeros({1, static_cast<int64_t>(n) + 1});
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(begin), n, x.flat<float>().begin());
    x.flat<float>()[n] = 448.0F;
    const Quantized q = quantize(ctx, x, "tiles", {});
    EXPECT_EQ(q.scales.flat<float>()[0], 1.0F);
    const auto row = bits(q.codes);
    result.insert(result.end(), row.begin(), row.end() - 1);
  }
  return result;
}

class Fp8 : public ::testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, Fp8, ::testing::ValuesIn(all_devices()));

TEST_P(Fp8, GoldenCodesAndScalesAreExact) {
  const GoldenUnits golden;
  Machine machine(GetParam(), 3);
  struct Case {
    const char *x, *want, *how;
    TileOptions options;
  };
  const Case cases[] = {
      {"fp8.tiles.x", "fp8.tiles", "tiles", {}},
      {"fp8.tiles.x", "fp8.tiles_ue8m0", "tiles", {.power_of_two = true}},
      {"fp8.tiles.x", "fp8.tiles_grad", "tiles", {.amax_floor = false}},
      {"fp8.tiles.x", "fp8.tiles_grad_ue8m0", "tiles", {.power_of_two = true, .amax_floor = false}},
      {"fp8.ragged.x", "fp8.ragged", "tiles", {}},
      {"fp8.ragged.x", "fp8.ragged_ue8m0", "tiles", {.power_of_two = true}},
      {"fp8.blocks.w", "fp8.blocks", "blocks", {}},
      {"fp8.blocks.w", "fp8.blocks_ue8m0", "blocks", {.power_of_two = true}},
      {"fp8.blocks_ragged.w", "fp8.blocks_ragged", "blocks", {}},
      {"fp8.blocks_ragged.w", "fp8.blocks_ragged_ue8m0", "blocks", {.power_of_two = true}},
  };
  for (const Case& c : cases) {
    const Quantized q = quantize(machine.ctx(), golden.tensor(c.x), c.how, c.options);
    const std::string name = c.want;
    EXPECT_EQ(bits(q.codes), bits(golden.tensor(name + ".codes"))) << name;
    expect_close(q.scales, golden.tensor(name + ".scale"), Tolerance::exact(), name + ".scale");
  }
}

TEST_P(Fp8, GoldenDequantisedBlocks) {
  const GoldenUnits golden;
  Machine machine(GetParam(), 3);
  Tensor codes = golden.tensor("fp8.blocks_ragged.codes");
  const int64_t rows = codes.dim(0), cols = codes.dim(1);
  const Quantized blocks{std::move(codes), golden.tensor("fp8.blocks_ragged.scale"), kWeightBlocks,
                         rows, cols};
  const Tensor w = dequantized(machine.ctx(), blocks);
  expect_close(w, golden.tensor("fp8.blocks_ragged.dequantised"), Tolerance::exact(), "blocks");
}

TEST_P(Fp8, EveryCodeDecodesAndReturns) {
  const GoldenUnits golden;
  Machine machine(GetParam());
  const std::vector<float> want = golden.f32("fp8.decode");
  Quantized every{machine.ctx().empty({2, 128}, DType::kF8E4M3), machine.ctx().empty({2, 1}),
                  kRowTiles, 2, 128};
  for (size_t code = 0; code < 256; ++code) {
    every.codes.flat<f8e4m3>()[code].bits = static_cast<uint8_t>(code);
  }
  std::fill_n(every.scales.flat<float>().begin(), 2, 1.0F);
  const Tensor x = dequantized(machine.ctx(), every);
  std::vector<float> finite;
  std::vector<uint8_t> finite_codes;
  for (size_t code = 0; code < 256; ++code) {
    const float value = x.flat<float>()[code];
    if (code % 128 == 127) {
      EXPECT_TRUE(std::isnan(value) && std::isnan(want[code]));
    } else {
      EXPECT_EQ(value, want[code]) << code;
      EXPECT_EQ(std::signbit(value), code >= 128) << code;
      finite.push_back(value);
      finite_codes.push_back(static_cast<uint8_t>(code));
    }
  }
  EXPECT_EQ(finite.size(), 254U);
  EXPECT_EQ(codes_of(machine.ctx(), finite), finite_codes);
}

// Column tiles too, where neighbours in a row have different scales.
TEST_P(Fp8, CodesComeBackTimesTheirOwnScale) {
  Machine machine(GetParam());
  Context& ctx = machine.ctx();
  Tensor x = ctx.empty({131, 70});
  for (int64_t t = 0; t < 131; ++t) {
    for (int64_t k = 0; k < 70; ++k) {
      x.mat()(t, k) = static_cast<float>((t * 7 + k * 3) % 11 - 5) * static_cast<float>(1 << k % 9);
    }
  }
  for (const char* how : {"tiles", "columns", "blocks"}) {
    const Quantized q = quantize(ctx, x, how, {});
    const Tensor back = dequantized(ctx, q);
    const auto codes = q.codes.view<f8e4m3, 2>();
    for (int64_t t = 0; t < 131; ++t) {
      for (int64_t k = 0; k < 70; ++k) {
        const float scale = q.scales.mat()(t / q.tiling.rows, k / q.tiling.cols);
        ASSERT_EQ(back.mat()(t, k), to_float(codes(t, k)) * scale) << how << " " << t << "," << k;
      }
    }
  }
}

TEST_P(Fp8, MidpointsTieToEvenAndNeighboursDoNot) {
  Machine machine(GetParam());
  std::vector<float> values;
  std::vector<uint8_t> want;
  for (int code = 0; code < 0x7E; ++code) {
    const float low = to_float(f8e4m3{static_cast<uint8_t>(code)});
    const float high = to_float(f8e4m3{static_cast<uint8_t>(code + 1)});
    const float middle = (low + high) / 2;  // exact
    const int even = code % 2 == 0 ? code : code + 1;
    for (const auto& [value, result] : {std::pair{middle, even},
                                        {std::nextafter(middle, 0.0F), code},
                                        {std::nextafter(middle, 1e9F), code + 1}}) {
      values.push_back(value);
      want.push_back(static_cast<uint8_t>(result));
      values.push_back(-value);
      want.push_back(static_cast<uint8_t>(result | 0x80));
    }
  }
  EXPECT_EQ(codes_of(machine.ctx(), values), want);
}

TEST(Fp8Cast, GoldenMidpointsSaturationAndNan) {
  const GoldenUnits golden;
  const std::vector<float> in = golden.f32("fp8.cast_in");
  const std::vector<uint8_t> want = bits(golden.tensor("fp8.cast_out"));
  for (size_t i = 0; i < in.size(); ++i) {
    const uint8_t got = to_f8e4m3(in[i]).bits;
    if (std::isnan(in[i])) {
      EXPECT_EQ(got & 0x7F, 0x7F);
    } else {
      EXPECT_EQ(got, want[i]) << in[i];
    }
  }
}

TEST(Quantize, BackendsAgreeBitForBit) {
  for (const Extents& e :
       {Extents{0, 128, 0}, {1, 1, 0}, {3, 127, 1}, {129, 300, 2}, {260, 129, 0}}) {
    for (const bool power_of_two : {false, true}) {
      expect_backends_agree(
          [&](Context& ctx) -> Outputs {
            Tensor x = ctx.empty({e.rows, e.cols});
            const std::vector<float> values = hard_values(e, 1);
            std::copy(values.begin(), values.end(), x.flat<float>().begin());
            Outputs outputs;
            for (const char* how : {"tiles", "columns", "blocks"}) {
              const Quantized q = quantize(ctx, x, how, {.power_of_two = power_of_two});
              const auto codes = bits(q.codes);
              const auto scales = q.scales.flat<float>();
              outputs.emplace_back(std::vector<float>(codes.begin(), codes.end()));
              outputs.emplace_back(std::vector<float>(scales.begin(), scales.end()));
            }
            return outputs;
          },
          Tolerance::exact(), text(e));
    }
  }
}

TEST(Quantize, PowerOfTwoScalesRoundUp) {
  Machine machine(Device::kCpu);
  Tensor x = machine.ctx().zeros({3, 1});
  x.flat<float>()[0] = 448.0F;  // a power of two already
  x.flat<float>()[1] = 448.5F;
  x.flat<float>()[2] = 56.0F;
  const Quantized q = quantize(machine.ctx(), x, "tiles", {.power_of_two = true});
  const std::span<const float> scales = std::as_const(q.scales).flat<float>();
  EXPECT_EQ(std::vector<float>(scales.begin(), scales.end()),
            (std::vector<float>{1.0F, 2.0F, 0.125F}));
}

TEST(Quantize, ScalesOfExtremeTiles) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    Tensor x = machine.ctx().zeros({4, 3});
    const View<float, 2> v = x.mat();
    v(1, 0) = 1e-45F;  // amax / 448 underflows
    v(2, 0) = NAN;     // NaN marks itself and leaves its tile's scale alone
    v(2, 1) = 448.0F;
    v(3, 0) = 3e38F;
    const Quantized q = quantize(machine.ctx(), x, "tiles", {.amax_floor = false});
    EXPECT_EQ(q.scales.flat<float>()[0], 1.0F);
    EXPECT_EQ(q.scales.flat<float>()[1], 1.0F);
    EXPECT_EQ(q.scales.flat<float>()[2], 1.0F);
    EXPECT_EQ(q.scales.flat<float>()[3], 3e38F / 448.0F);
    const View<const f8e4m3, 2> codes = std::as_const(q.codes).view<f8e4m3, 2>();
    EXPECT_EQ(codes(0, 0).bits, 0);
    EXPECT_EQ(codes(1, 0).bits, 0);
    EXPECT_EQ(codes(2, 0).bits, 0x7F);
    EXPECT_EQ(codes(2, 1).bits, 0x7E);
    EXPECT_EQ(codes(3, 0).bits, 0x7E);
    // Denormal scales are so coarse that quotients pass 448: they saturate.
    Tensor tiny = machine.ctx().zeros({1, 1});
    tiny.flat<float>()[0] = 627 * 1.4e-45F;
    const Quantized saturated = quantize(machine.ctx(), tiny, "tiles", {.amax_floor = false});
    EXPECT_EQ(std::as_const(saturated.codes).flat<f8e4m3>()[0].bits, 0x7E);
    const Quantized floored = quantize(machine.ctx(), x, "tiles", {});
    EXPECT_EQ(floored.scales.flat<float>()[0], 1e-4F / 448.0F);
  }
}

}  // namespace
}  // namespace hadal::test
