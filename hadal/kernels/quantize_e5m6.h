// kernels/quantize_e5m6.h: the backends of ops/quantize_e5m6.h. All give the same bits.
#pragma once

#include <bit>
#include <cmath>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal {

inline constexpr float kE5M6Max =
    0x1.FCp16F;  // (2 - 2^-6) 2^16: no code stands for infinity or NaN

// 12 bits: sign, exponent (bias 15), mantissa. To nearest, ties to even; saturates, NaN too.
inline uint32_t to_e5m6(float value) {
  const uint32_t sign = std::bit_cast<uint32_t>(value) >> 31 << 11;
  const float magnitude = std::fmin(std::fabs(value), kE5M6Max);  // of NaN the other one
  // Below 2^-14 the step is 2^-20, the last place of a float in [8, 16): adding 8 rounds to it.
  if (magnitude < 0x1p-14F) {
    return sign | (std::bit_cast<uint32_t>(magnitude + 8.0F) - std::bit_cast<uint32_t>(8.0F));
  }
  const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  return sign | (((bits + 0xFFFF + (bits >> 17 & 1)) >> 17) - (112U << 6));  // bias 127 to 15
}
// The bits stand in those of a float that is 2^112 times smaller, subnormals included.
inline float from_e5m6(uint32_t code) {
  return std::bit_cast<float>((code & 0x800) << 20 | (code & 0x7FF) << 17) * 0x1p112F;
}

}  // namespace hadal

namespace hadal::reference {

void quantize_e5m6(View<uint8_t, 2> codes, View<float, 2> scales, View<const float, 2> x) noexcept;
void dequantize_e5m6(View<float, 2> x, View<const uint8_t, 2> codes,
                     View<const float, 2> scales) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void quantize_e5m6(ThreadPool& pool, View<uint8_t, 2> codes, View<float, 2> scales,
                   View<const float, 2> x);
void dequantize_e5m6(ThreadPool& pool, View<float, 2> x, View<const uint8_t, 2> codes,
                     View<const float, 2> scales);

}  // namespace hadal::cpu

namespace hadal::cuda {

void quantize_e5m6(Stream& stream, View<uint8_t, 2> codes, View<float, 2> scales,
                   View<const float, 2> x);
void dequantize_e5m6(Stream& stream, View<float, 2> x, View<const uint8_t, 2> codes,
                     View<const float, 2> scales);

}  // namespace hadal::cuda
