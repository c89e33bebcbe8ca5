// E5M6: every code's value, rounding, tiles, and all devices alike.
#include "hadal/ops/quantize_e5m6.h"

#include "hadal/core/rng.h"
#include "hadal/kernels/quantize_e5m6.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

TEST(E5m6Test, EveryCodeKeepsItsValue) {
  for (uint32_t code = 0; code < 0x1000; ++code) {
    const uint32_t exponent = code >> 6 & 0x1F, mantissa = code & 0x3F;
    const double sign = code & 0x800 ? -1.0 : 1.0;
    const double value = exponent == 0
                             ? std::ldexp(mantissa, -20)
                             : std::ldexp(64.0 + mantissa, static_cast<int>(exponent) - 15 - 6);
    EXPECT_EQ(double{from_e5m6(code)}, sign * value) << code;
    EXPECT_EQ(to_e5m6(from_e5m6(code)), code);
  }
}

TEST(E5m6Test, RoundsToNearestTiesToEvenAndSaturates) {
  EXPECT_EQ(from_e5m6(to_e5m6(1.0F + 1.0F / 128)), 1.0F);              // a tie: to the even one
  EXPECT_EQ(from_e5m6(to_e5m6(1.0F + 3.0F / 128)), 1.0F + 2.0F / 64);  // a tie: up
  EXPECT_EQ(from_e5m6(to_e5m6(1.0F + 1.1F / 128)), 1.0F + 1.0F / 64);
  EXPECT_EQ(from_e5m6(to_e5m6(0x1.8p-20F)), 0x2p-20F);  // subnormal tie
  EXPECT_EQ(from_e5m6(to_e5m6(0x1p-21F)), 0.0F);
  EXPECT_EQ(from_e5m6(to_e5m6(-1e9F)), -kE5M6Max);
  EXPECT_EQ(from_e5m6(to_e5m6(INFINITY)), kE5M6Max);
}

void expect_tiles(Device device) {
  for (const int64_t rows : {0, 1, 3}) {
    for (const int64_t cols : {1, 2, 127, 128, 129, 301}) {
      Machine reference(Device::kReference), machine(device, 2);
      Rng rng(static_cast<uint64_t>(rows * 1000 + cols));
      Tensor x = machine.ctx().empty({rows, cols});
      for (int64_t t = 0; t < rows; ++t) {
        const float size = t == 1 ? 0.0F : t == 2 ? 1e-8F : 1e4F;  // zeros and tiny tiles too
        for (float& each : x.mat().row(t)) each = size * static_cast<float>(rng.normal());
      }
      const E5m6Rows codes = quantized_e5m6(machine.ctx(), std::as_const(x).mat());
      EXPECT_EQ(codes.bytes(), rows * ((cols + 1) / 2 * 3 + (cols + 127) / 128 * 4));
      const Tensor back = dequantized(machine.ctx(), codes);
      const Tensor want =
          dequantized(reference.ctx(), quantized_e5m6(reference.ctx(), std::as_const(x).mat()));
      expect_close(back, want, Tolerance::exact(), "x");
      for (int64_t t = 0; t < rows; ++t) {
        for (int64_t j = 0; j < cols; ++j) {
          const float scale = codes.scales.mat()(t, j / 128), value = x.mat()(t, j);
          const float step = std::max(std::abs(value) / 128, 0x1p-21F * scale);
          EXPECT_LE(std::abs(std::as_const(back).mat()(t, j) - value), step);
          EXPECT_EQ(std::log2(scale), std::floor(std::log2(scale)));
        }
      }
    }
  }
}

TEST(E5m6Test, TilesAreWithinHalfAStepAndLikeTheReference) {
  for (const Device device : all_devices()) expect_tiles(device);
}

}  // namespace
}  // namespace hadal::test
