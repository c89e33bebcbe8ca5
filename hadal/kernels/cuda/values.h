// kernels/cuda/values.h: the conversions of tensor/dtype.h on a card, bit for bit.
#pragma once

#ifdef __CUDACC__
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#endif

#include "hadal/kernels/cuda/launch.h"
#include "hadal/tensor/dtype.h"

namespace hadal::cuda {

__device__ inline float value_of(float x) { return x; }
__device__ inline float value_of(bf16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

#ifdef __CUDACC__

__device__ inline float value_of(f16 x) { return __half2float(__ushort_as_half(x.bits)); }
__device__ inline float value_of(f8e4m3 x) {
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(x.bits, __NV_E4M3)));
}
template <class T>
__device__ T rounded_to(float x);
template <>
__device__ inline float rounded_to<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 rounded_to<bf16>(float x) {
  const unsigned bits = __float_as_uint(x);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}
template <>
__device__ inline f16 rounded_to<f16>(float x) {
  return {__half_as_ushort(__float2half_rn(x))};
}
template <>
__device__ inline f8e4m3 rounded_to<f8e4m3>(float x) {
  return {static_cast<uint8_t>(__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3))};
}

#else

inline float value_of(f16 x) { return to_float(x); }
inline float value_of(f8e4m3 x) { return to_float(x); }
template <class T>
T rounded_to(float x) {
  if constexpr (std::is_same_v<T, bf16>) return to_bf16(x);
  if constexpr (std::is_same_v<T, f16>) return to_f16(x);
  if constexpr (std::is_same_v<T, f8e4m3>) return to_f8e4m3(x);
  if constexpr (std::is_same_v<T, float>) return x;
}

#endif

}  // namespace hadal::cuda
