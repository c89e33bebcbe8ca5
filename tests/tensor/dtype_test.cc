#include "hadal/tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hadal {
namespace {

TEST(DType, NamesRoundTrip) {
  for (int i = 0; i <= static_cast<int>(DType::kU64); ++i) {
    const DType dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
    EXPECT_GE(dtype_bytes(dtype), 1);
  }
  EXPECT_EQ(dtype_from_name("F12"), std::nullopt);
  EXPECT_EQ(dtype_name(DType::kBF16), "BF16");
  EXPECT_EQ(dtype_bytes(DType::kBF16), 2);
}

TEST(Bf16, EveryCodeRoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bf16 code{static_cast<uint16_t>(bits)};
    const float value = to_float(code);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(to_float(to_bf16(value)))) << bits;
    } else {
      EXPECT_EQ(to_bf16(value).bits, bits);
    }
  }
}

TEST(Bf16, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7F80; ++bits) {  // all finite positive codes
    const float low = to_float(bf16{static_cast<uint16_t>(bits)});
    const float middle = std::bit_cast<float>(bits << 16 | 0x8000);
    EXPECT_EQ(to_bf16(middle).bits, bits + (bits & 1)) << low;
    EXPECT_EQ(to_bf16(std::nextafter(middle, 0.0F)).bits, bits);
    EXPECT_EQ(to_bf16(std::nextafter(middle, INFINITY)).bits, bits + 1);
    EXPECT_EQ(to_bf16(-middle).bits, (bits + (bits & 1)) | 0x8000);
  }
}

TEST(F16, EveryCodeRoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 code{static_cast<uint16_t>(bits)};
    const float value = to_float(code);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(to_float(to_f16(value)))) << bits;
    } else {
      EXPECT_EQ(to_f16(value).bits, bits);
    }
  }
}

TEST(F16, RoundsToNearestEvenSubnormalsToo) {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {  // neighbours below the largest finite value
    const float low = to_float(f16{static_cast<uint16_t>(bits)});
    const float high = to_float(f16{static_cast<uint16_t>(bits + 1)});
    const float middle = (low + high) / 2;  // exact: one more bit than f16 has
    EXPECT_EQ(to_f16(middle).bits, bits + (bits & 1)) << middle;
    EXPECT_EQ(to_f16(std::nextafter(middle, 0.0F)).bits, bits);
    EXPECT_EQ(to_f16(std::nextafter(middle, INFINITY)).bits, bits + 1);
  }
  EXPECT_EQ(to_f16(65504.0F).bits, 0x7BFF);
  EXPECT_EQ(to_f16(std::nextafter(65520.0F, 0.0F)).bits, 0x7BFF);
  EXPECT_EQ(to_f16(65520.0F).bits, 0x7C00);
  EXPECT_EQ(to_f16(-INFINITY).bits, 0xFC00);
  EXPECT_EQ(to_f16(-0.0F).bits, 0x8000);
  EXPECT_EQ(to_f16(1e-30F).bits, 0);
}

TEST(F8E4M3, EveryFiniteCodeRoundTripsAndNothingBecomesNan) {
  for (uint32_t bits = 0; bits < 256; ++bits) {
    const f8e4m3 code{static_cast<uint8_t>(bits)};
    const float value = to_float(code);
    if ((bits & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(value));
    } else {
      EXPECT_EQ(to_f8e4m3(value).bits, bits);
    }
  }
  EXPECT_EQ(to_f8e4m3(1e30F).bits, 0x7E);
  EXPECT_EQ(to_f8e4m3(-INFINITY).bits, 0xFE);
  EXPECT_EQ(to_float(to_f8e4m3(17.0F)), 16.0F);  // spacing 2 in [16, 32): ties to even
  EXPECT_EQ(to_float(to_f8e4m3(19.0F)), 20.0F);
  EXPECT_EQ(to_float(f8e4m3{0x38}), 1.0F);
  EXPECT_EQ(to_float(f8e4m3{0x01}), 0x1p-9F);
}

}  // namespace
}  // namespace hadal
