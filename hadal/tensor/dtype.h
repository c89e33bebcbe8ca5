// tensor/dtype.h: element types of tensors and checkpoint files, and bit-exact conversions.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hadal {

// clang-format off
enum class DType : uint8_t {
  kBool, kU8, kI8, kF8E4M3, kF8E5M2, kF8E8M0, kI16, kU16, kF16, kBF16, kI32, kU32, kF32, kF64,
  kI64, kU64,
};
// clang-format on

int64_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);  // safetensors' spelling: "F32", "BF16"
std::optional<DType> dtype_from_name(std::string_view name);  // the same spelling

// bfloat16: the upper half of an f32.
struct bf16 {
  uint16_t bits;
};
inline float to_float(bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }
inline bf16 to_bf16(float value) {  // round to nearest, ties to even; NaN stays NaN
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}

// IEEE binary16.
struct f16 {
  uint16_t bits;
};
float to_float(f16 value);
f16 to_f16(float value);  // round to nearest even; overflow to infinity

// FP8 E4M3 (e4m3fn): bias 7, no infinities, NaN 0x7F and 0xFF, largest 448 (docs/precision.md).
struct f8e4m3 {
  uint8_t bits;
};
float to_float(f8e4m3 value);
f8e4m3 to_f8e4m3(float value);  // nearest even; saturates to +-448, infinities too; NaN 0x7F
inline constexpr float kF8E4M3Max = 448.0F;

template <class T>
struct DTypeOf;
// clang-format off
template <> struct DTypeOf<float> { static constexpr DType value = DType::kF32; };
template <> struct DTypeOf<double> { static constexpr DType value = DType::kF64; };
template <> struct DTypeOf<bf16> { static constexpr DType value = DType::kBF16; };
template <> struct DTypeOf<f16> { static constexpr DType value = DType::kF16; };
template <> struct DTypeOf<f8e4m3> { static constexpr DType value = DType::kF8E4M3; };
template <> struct DTypeOf<int8_t> { static constexpr DType value = DType::kI8; };
template <> struct DTypeOf<uint8_t> { static constexpr DType value = DType::kU8; };
template <> struct DTypeOf<int32_t> { static constexpr DType value = DType::kI32; };
template <> struct DTypeOf<int64_t> { static constexpr DType value = DType::kI64; };
// clang-format on

}  // namespace hadal
