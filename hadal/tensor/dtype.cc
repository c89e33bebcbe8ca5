#include "hadal/tensor/dtype.h"

#include <cmath>
#include <cstddef>

namespace hadal {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};
constexpr Row kRows[] = {
    {DType::kBool, "BOOL", 1},      {DType::kU8, "U8", 1},          {DType::kI8, "I8", 1},
    {DType::kF8E4M3, "F8_E4M3", 1}, {DType::kF8E5M2, "F8_E5M2", 1}, {DType::kF8E8M0, "F8_E8M0", 1},
    {DType::kI16, "I16", 2},        {DType::kU16, "U16", 2},        {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2},      {DType::kI32, "I32", 4},        {DType::kU32, "U32", 4},
    {DType::kF32, "F32", 4},        {DType::kF64, "F64", 8},        {DType::kI64, "I64", 8},
    {DType::kU64, "U64", 8},
};

// Rounds |value| to a multiple of 2^(exponent - mantissa bits), ties to even, the way every
// round-to-nearest format does; lrint follows the default rounding mode.
float round_to_step(float value, int exponent, int mantissa_bits) {
  const float step = std::ldexp(1.0F, exponent - mantissa_bits);
  return std::nearbyint(value / step) * step;
}

}  // namespace

int64_t dtype_bytes(DType dtype) { return kRows[static_cast<size_t>(dtype)].bytes; }
std::string_view dtype_name(DType dtype) { return kRows[static_cast<size_t>(dtype)].name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

float to_float(f16 value) {
  const uint32_t sign = (value.bits & 0x8000U) << 16;
  const uint32_t exponent = value.bits >> 10 & 0x1F;
  const uint32_t mantissa = value.bits & 0x3FF;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | mantissa << 13);
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

f16 to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::abs(value);
  if (std::isnan(value)) return {static_cast<uint16_t>(sign | 0x7E00)};
  if (magnitude >= 65520.0F) return {static_cast<uint16_t>(sign | 0x7C00)};
  int exponent = magnitude == 0.0F ? -14 : std::ilogb(magnitude);
  if (exponent < -14) exponent = -14;
  const float rounded = round_to_step(magnitude, exponent, 10);
  if (rounded < 0x1.0p-14F) {
    return {static_cast<uint16_t>(sign | static_cast<uint16_t>(std::ldexp(rounded, 24)))};
  }
  const uint32_t r = std::bit_cast<uint32_t>(rounded);
  return {static_cast<uint16_t>(sign | ((r >> 23) - 112) << 10 | (r >> 13 & 0x3FF))};
}

float to_float(f8e4m3 value) {
  const int exponent = value.bits >> 3 & 0xF;
  const int mantissa = value.bits & 7;
  if (exponent == 0xF && mantissa == 7) return std::bit_cast<float>(0x7FC00000U);
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return value.bits & 0x80 ? -magnitude : magnitude;
}

f8e4m3 to_f8e4m3(float value) {
  const uint8_t sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return {0x7F};
  const float magnitude = std::abs(value);
  if (magnitude >= kF8E4M3Max) return {static_cast<uint8_t>(sign | 0x7E)};
  int exponent = magnitude == 0.0F ? -6 : std::ilogb(magnitude);
  if (exponent < -6) exponent = -6;
  const float rounded = round_to_step(magnitude, exponent, 3);
  if (rounded < 0x1.0p-6F) {
    return {static_cast<uint8_t>(sign | static_cast<uint8_t>(std::ldexp(rounded, 9)))};
  }
  if (rounded > kF8E4M3Max) return {static_cast<uint8_t>(sign | 0x7E)};
  const int e = std::ilogb(rounded);
  const int mantissa = static_cast<int>(std::ldexp(rounded, 3 - e)) - 8;
  return {static_cast<uint8_t>(sign | (e + 7) << 3 | mantissa)};
}

}  // namespace hadal
