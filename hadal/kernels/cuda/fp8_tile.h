// kernels/cuda/fp8_tile.h: what the kernels of quantize_fp8.h share: scales, quotients, 16 bytes of values.
#pragma once

#include "hadal/kernels/cuda/quantize_fp8.h"
#include "hadal/kernels/cuda/values.h"
#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {

inline constexpr int kScaleTile = 128;  // values that share a scale

// The scale of a tile, as reference::fp8_scale.
__device__ inline float fp8_scale(float amax, bool power_of_two, bool amax_floor) {
  if (amax_floor) amax = fmaxf(amax, 1e-4F);
  const float scale = amax / kF8E4M3Max;
  if (scale == 0.0F) return 1.0F;
  const unsigned bits = __float_as_uint(scale), below = bits & 0x7FFFFFU, exponent = bits - below;
  if (!power_of_two || below == 0 || exponent == 0x7F800000U) return scale;
  if (exponent != 0) return __uint_as_float(exponent + 0x800000U);
  unsigned power = 1;  // a subnormal: the next bit that stands alone
  while (power < below) power *= 2;
  return __uint_as_float(power);
}

// x / scale for the values of a tile, for |x| <= 448 scale: the same code comes of it as of IEEE division.
// What is divided and the scale are first multiplied with a power of two that keeps the reciprocal and the
// remainder normal. A power of two then needs one product. Otherwise the quotient is refined once: tried for
// all 2^23 significands of a scale and the nine quotients around each middle between two codes, it lies on
// the side of the middle, or on it, where the division's result lies.
template <bool kPowerOfTwo>
class Quotients {
 public:
  Quotients() = default;
  __device__ explicit Quotients(float scale) {
    widen_ = scale < 0x1p-90F ? 0x1p100F : scale > 0x1p90F ? 0x1p-100F : 1.0F;
    const float divisor = scale * widen_;
    inverse_ = 1.0F / divisor;
    // An infinite scale makes zeros of what is finite and NaN of what is not.
    divisor_ = inverse_ == 0.0F ? 0.0F : divisor;
  }
  __device__ float operator()(float x) const {
    x *= widen_;
    float q = x * inverse_;
    if constexpr (!kPowerOfTwo) {
      q = fmaf(fmaf(-q, divisor_, x), inverse_, q);
      q = copysignf(q, x);  // a zero has lost its sign
    }
    return q;
  }

 private:
  float widen_, inverse_, divisor_;
};

// The codes of two values, the first in the lower byte.
__device__ inline unsigned codes_of(float first, float second) {
#ifdef __CUDACC__
  return __nv_cvt_float2_to_fp8x2(make_float2(first, second), __NV_SATFINITE, __NV_E4M3);
#else
  return rounded_to<f8e4m3>(first).bits | unsigned{rounded_to<f8e4m3>(second).bits} << 8;
#endif
}

template <class T>
inline constexpr int kPer = static_cast<int>(16 / sizeof(T));  // values in 16 bytes

__device__ inline unsigned word(const uint4& p, int i) {
  return i == 0 ? p.x : i == 1 ? p.y : i == 2 ? p.z : p.w;
}

// Values j and j + 1 of 16 bytes. REQUIRES j even and known to the compiler.
template <class T>
__device__ float2 pair_of(const uint4& p, int j) {
  if constexpr (sizeof(T) == 4) {
    return make_float2(__uint_as_float(word(p, j)), __uint_as_float(word(p, j + 1)));
  } else if constexpr (sizeof(T) == 2) {
    const unsigned both = word(p, j / 2);
    return make_float2(__uint_as_float(both << 16), __uint_as_float(both & 0xFFFF0000U));
  } else {
    const unsigned both = word(p, j / 4) >> (j % 4 * 8);
#ifdef __CUDACC__
    return __half22float2(
        __half2(__nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(both), __NV_E4M3)));
#else
    return make_float2(value_of(f8e4m3{static_cast<uint8_t>(both)}),
                       value_of(f8e4m3{static_cast<uint8_t>(both >> 8)}));
#endif
  }
}

// 16 bytes of a row from column `col` on, zeros beyond column `cols`. `aligned`: 16 bytes begin at every
// multiple of kPer<T>, and cols is one.
template <class T>
__device__ uint4 load16(const T* row, int64_t col, int64_t cols, bool aligned) {
  uint4 p{0, 0, 0, 0};
  if (aligned) {
    if (col < cols) p = *reinterpret_cast<const uint4*>(row + col);
    return p;
  }
  unsigned words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < kPer<T>; ++i) {
    unsigned bits = 0;
    if (col + i < cols) {
      if constexpr (sizeof(T) == 4) {
        bits = __float_as_uint(row[col + i]);
      } else {
        bits = row[col + i].bits;
      }
    }
    constexpr int kInWord = static_cast<int>(4 / sizeof(T));
    words[i / kInWord] |= bits << (i % kInWord * 8 * static_cast<int>(sizeof(T)));
  }
  return uint4{words[0], words[1], words[2], words[3]};
}

// `n_bytes` (4, 8 or 16) codes of a row, those before column `cols`.
template <int kBytes>
__device__ void store_codes(f8e4m3* row, int64_t col, int64_t cols, const unsigned* words,
                            bool aligned) {
  if (aligned) {
    if (col >= cols) return;
    if constexpr (kBytes == 4) *reinterpret_cast<unsigned*>(row + col) = words[0];
    if constexpr (kBytes == 8) *reinterpret_cast<uint2*>(row + col) = uint2{words[0], words[1]};
    return;
  }
#pragma unroll
  for (int i = 0; i < kBytes; ++i) {
    if (col + i < cols) row[col + i].bits = static_cast<uint8_t>(words[i / 4] >> (i % 4 * 8));
  }
}

// The values of one lane of a row tile: scale and codes of the tile, whose 128 / kN lanes stand together.
// Every lane of the warp calls; `inside` says whether this one's row exists.
template <bool kPowerOfTwo, int kN>
__device__ void store_row_tile(const TileCodes& out, const float (&v)[kN], int64_t row, int64_t col,
                               int64_t cols, bool inside, bool amax_floor, bool aligned) {
  constexpr int kLanes = kScaleTile / kN;
  float amax = 0.0F;
#pragma unroll
  for (int i = 0; i < kN; ++i) amax = fmaxf(amax, fabsf(v[i]));
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    amax = fmaxf(amax, __shfl_xor_sync(0xFFFFFFFFU, amax, distance));
  }
  const float scale = fp8_scale(amax, kPowerOfTwo, amax_floor);
  const Quotients<kPowerOfTwo> quotient(scale);
  unsigned words[kN / 4] = {};
#pragma unroll
  for (int i = 0; i < kN; i += 2) {
    words[i / 4] |= codes_of(quotient(v[i]), quotient(v[i + 1])) << (i % 4 * 8);
  }
  if (!inside) return;
  store_codes<kN>(out.codes + row * out.stride, col, cols, words, aligned);
  if (static_cast<int>(threadIdx.x) % kLanes == 0 && col < cols) {
    out.scales[row * out.scale_row_stride + col / kScaleTile * out.scale_col_stride] = scale;
  }
}

// Whether rows of `stride` elements from `data` on can be read or written `n` at a time, up to `cols`.
template <class T>
bool in_steps_of(int64_t n, const T* data, int64_t stride, int64_t cols) {
  const auto bytes = static_cast<uintptr_t>(n) * sizeof(T);
  return reinterpret_cast<uintptr_t>(data) % bytes == 0 && stride % n == 0 && cols % n == 0;
}

}  // namespace hadal::cuda
