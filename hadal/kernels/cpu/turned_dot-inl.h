// kernels/cpu/turned_dot-inl.h: dot products of bytes as kernels/cpu/turned_gemm.cc needs them: for AVX2 and
// AVX-512 VNNI with their own instructions, which Highway does not reach; elsewhere in 32-bit lanes.
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_TURNED_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_TURNED_DOT_INL_H_
#undef HADAL_KERNELS_CPU_TURNED_DOT_INL_H_
#else
#define HADAL_KERNELS_CPU_TURNED_DOT_INL_H_
#endif

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3_DL
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

using Ints = hn::RebindToSigned<Floats>;
using VI = hn::Vec<Ints>;

// From 32 bits to 8.
using Bytes = hn::Rebind<int8_t, Ints>;
HWY_INLINE hn::Vec<Bytes> to_bytes(VI v) {
  return hn::DemoteTo(Bytes(), hn::DemoteTo(hn::Rebind<int16_t, Ints>(), v));
}

// out[unit][lane] = the 32-bit unit `unit` of the kLanes that stand at byte `at` of row `lane`. Of them
// only the first n_bytes exist; zeros stand for the others.
HWY_INLINE void turn_step(uint32_t* out, const std::array<const uint8_t*, kLanes>& rows, int64_t at,
                          int64_t n_bytes) {
#if HWY_TARGET == HWY_AVX3_DL
  __m512i v[16], u[16];
  if (n_bytes == 64) {
    for (size_t i = 0; i < 16; ++i) v[i] = _mm512_loadu_si512(rows[i] + at);
  } else {
    const __mmask64 exist = (uint64_t{1} << n_bytes) - 1;
    for (size_t i = 0; i < 16; ++i) v[i] = _mm512_maskz_loadu_epi8(exist, rows[i] + at);
  }
  for (size_t i = 0; i < 16; i += 2) {
    u[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    u[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (size_t i = 0; i < 16; i += 4) {  // v[i + j]: unit j of every quarter, of rows i to i + 3
    v[i] = _mm512_unpacklo_epi64(u[i], u[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(u[i], u[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(u[i + 1], u[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(u[i + 1], u[i + 3]);
  }
  for (size_t j = 0; j < 4; ++j) {  // quarters of four groups of rows, as a 4 x 4 matrix
    const __m512i a = _mm512_shuffle_i32x4(v[j], v[4 + j], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(v[j], v[4 + j], 0xEE);
    const __m512i c = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0x44);
    const __m512i e = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0xEE);
    _mm512_storeu_si512(out + 16 * j, _mm512_shuffle_i32x4(a, c, 0x88));
    _mm512_storeu_si512(out + 16 * (4 + j), _mm512_shuffle_i32x4(a, c, 0xDD));
    _mm512_storeu_si512(out + 16 * (8 + j), _mm512_shuffle_i32x4(b, e, 0x88));
    _mm512_storeu_si512(out + 16 * (12 + j), _mm512_shuffle_i32x4(b, e, 0xDD));
  }
#elif HWY_TARGET == HWY_AVX2
  __m256i v[8], u[8];
  for (size_t i = 0; i < 8; ++i) {
    if (n_bytes == 32) {
      v[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[i] + at));
    } else {
      alignas(32) std::array<uint8_t, 32> rest{};
      std::memcpy(rest.data(), rows[i] + at, static_cast<size_t>(n_bytes));
      v[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(rest.data()));
    }
  }
  for (size_t i = 0; i < 8; i += 2) {
    u[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    u[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (size_t i = 0; i < 8; i += 4) {
    v[i] = _mm256_unpacklo_epi64(u[i], u[i + 2]);
    v[i + 1] = _mm256_unpackhi_epi64(u[i], u[i + 2]);
    v[i + 2] = _mm256_unpacklo_epi64(u[i + 1], u[i + 3]);
    v[i + 3] = _mm256_unpackhi_epi64(u[i + 1], u[i + 3]);
  }
  auto* to = reinterpret_cast<__m256i*>(out);
  for (size_t j = 0; j < 4; ++j) {
    _mm256_storeu_si256(to + j, _mm256_permute2x128_si256(v[j], v[4 + j], 0x20));
    _mm256_storeu_si256(to + 4 + j, _mm256_permute2x128_si256(v[j], v[4 + j], 0x31));
  }
#else
  for (size_t i = 0; i < kLanes; ++i) {
    std::array<uint32_t, kLanes> units{};
    std::memcpy(units.data(), rows[i] + at, static_cast<size_t>(n_bytes));
    for (size_t unit = 0; unit < kLanes; ++unit) out[unit * kLanes + i] = units[unit];
  }
#endif
}

// Four codes of a row of the input in every lane.
HWY_INLINE VI four_codes(const int8_t* codes) {
  int32_t four;
  std::memcpy(&four, codes, 4);
  return hn::Set(Ints(), four);
}

#if HWY_TARGET == HWY_AVX3_DL
inline constexpr bool kUnsignedDot = true;
// sum + the dot product of the four bytes of a lane, w without a sign. Written out: what Highway 1.0.3
// tells g++ of these processors leaves out VNNI, which all of them have.
HWY_INLINE VI add_dot(VI sum, VI w, VI x) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
  return sum;
}
#elif HWY_TARGET == HWY_AVX2
inline constexpr bool kUnsignedDot = false;
// Sums of two: w has no sign and stays below 128, so that they fit into 16 bits.
HWY_INLINE __m256i pair_sums(__m256i w, __m256i x) { return _mm256_maddubs_epi16(w, x); }
HWY_INLINE VI add_pairs(VI sum, __m256i pairs) {
  return VI{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}
#else
inline constexpr bool kUnsignedDot = false;
HWY_INLINE VI add_dot(VI sum, VI w, VI x) {
  const auto byte = [](VI v, auto left)
                        HWY_ATTR { return hn::ShiftRight<24>(hn::ShiftLeft<left()>(v)); };
  const auto product = [&](auto left) HWY_ATTR { return hn::Mul(byte(w, left), byte(x, left)); };
  using std::integral_constant;
  const VI low =
      hn::Add(product(integral_constant<int, 24>()), product(integral_constant<int, 16>()));
  const VI high =
      hn::Add(product(integral_constant<int, 8>()), product(integral_constant<int, 0>()));
  return hn::Add(sum, hn::Add(low, high));
}
#endif

// 8-bit codes: a unit is four columns, eight are a block. With an unsigned dot product 128 is added to
// every code of the weight, and the offset takes it away again.
struct ByteUnits {
  static constexpr int64_t kUnits = 8;
  static constexpr bool kHasOffset = kUnsignedDot;
  static int32_t offset(int32_t sum_of_x) { return -128 * sum_of_x; }

  // Where the codes of a block stand, from two vectors of its values in whole numbers on.
  static HWY_INLINE void store_two(int8_t* row, int64_t block, int64_t i, VI a, VI b) {
    int8_t* out = row + block * kQuantBlock + i;
    hn::StoreU(to_bytes(a), Bytes(), out);
    hn::StoreU(to_bytes(b), Bytes(), out + kLanes);
  }

  // sum + the dot product of the four bytes of every lane
  static HWY_INLINE VI add_bytes(VI sum, VI w, VI x) {
#if HWY_TARGET == HWY_AVX3_DL
    return add_dot(sum, hn::Xor(w, hn::Set(Ints(), static_cast<int32_t>(0x80808080))), x);
#elif HWY_TARGET == HWY_AVX2
    const __m256i magnitude = _mm256_abs_epi8(w.raw);
    return add_pairs(sum, pair_sums(magnitude, _mm256_sign_epi8(x.raw, w.raw)));
#else
    return add_dot(sum, w, x);
#endif
  }

  template <int kRows>
  static HWY_INLINE void add_block(VI (&sum)[kRows], const uint32_t* units, const int8_t* x,
                                   int64_t stride, int64_t block) {
    HWY_UNROLL(8)
    for (int64_t unit = 0; unit < kUnits; ++unit) {
      const VI w = hn::LoadU(Ints(), reinterpret_cast<const int32_t*>(units) + unit * kLanes);
      HWY_UNROLL(12)
      for (int r = 0; r < kRows; ++r) {
        sum[r] = add_bytes(sum[r], w, four_codes(x + r * stride + block * kQuantBlock + 4 * unit));
      }
    }
  }

  // The products of the vector of bytes `v` of a row of the weight with a row of the input.
  static HWY_INLINE VI add_vector(VI sum, VI w, const int8_t* x, int64_t v) {
    return add_bytes(sum, w, hn::LoadU(Ints(), reinterpret_cast<const int32_t*>(x) + v * kLanes));
  }
};

// 4-bit codes 0 to 15 for -8 to 7: a unit is eight columns, the even ones in the low halves of its
// bytes; four are a block. The input's codes stand as a vector of them wants them: those of all its even
// columns, then those of the odd ones.
struct HalfByteUnits {
  static constexpr int64_t kUnits = 4;
  static constexpr bool kHasOffset = true;
  static int32_t offset(int32_t sum_of_x) { return -8 * sum_of_x; }

  static constexpr int64_t kVectorBlocks = kLanes / kUnits, kOdd = 4 * kLanes;
  static int64_t place(int64_t block) {
    return block / kVectorBlocks * 2 * kOdd + block % kVectorBlocks * kQuantBlock / 2;
  }
  static HWY_INLINE void store_two(int8_t* row, int64_t block, int64_t i, VI a, VI b) {
    int8_t* out = row + place(block) + i / 2;
    hn::StoreU(to_bytes(hn::ConcatEven(Ints(), b, a)), Bytes(), out);
    hn::StoreU(to_bytes(hn::ConcatOdd(Ints(), b, a)), Bytes(), out + kOdd);
  }

  static HWY_INLINE VI even(VI w) { return hn::And(w, hn::Set(Ints(), 0x0F0F0F0F)); }
  static HWY_INLINE VI odd(VI w) {
    return hn::And(hn::ShiftRight<4>(w), hn::Set(Ints(), 0x0F0F0F0F));
  }
#if HWY_TARGET == HWY_AVX2
  // Sums of four, at most 4 * 15 * 127; four such fit into 16 bits.
  static HWY_INLINE __m256i fours(VI w, VI x_even, VI x_odd) {
    return _mm256_add_epi16(pair_sums(even(w).raw, x_even.raw), pair_sums(odd(w).raw, x_odd.raw));
  }
#endif

  template <int kRows>
  static HWY_INLINE void add_block(VI (&sum)[kRows], const uint32_t* units, const int8_t* x,
                                   int64_t stride, int64_t block) {
    x += place(block);
#if HWY_TARGET == HWY_AVX2
    __m256i all[kRows];
    for (int r = 0; r < kRows; ++r) all[r] = _mm256_setzero_si256();
#endif
    HWY_UNROLL(4)
    for (int64_t unit = 0; unit < kUnits; ++unit) {
      const VI w = hn::LoadU(Ints(), reinterpret_cast<const int32_t*>(units) + unit * kLanes);
      HWY_UNROLL(12)
      for (int r = 0; r < kRows; ++r) {
        const VI x_even = four_codes(x + r * stride + 4 * unit);
        const VI x_odd = four_codes(x + r * stride + kOdd + 4 * unit);
#if HWY_TARGET == HWY_AVX2
        all[r] = _mm256_add_epi16(all[r], fours(w, x_even, x_odd));
#else
        sum[r] = add_dot(add_dot(sum[r], even(w), x_even), odd(w), x_odd);
#endif
      }
    }
#if HWY_TARGET == HWY_AVX2
    for (int r = 0; r < kRows; ++r) sum[r] = add_pairs(sum[r], all[r]);
#endif
  }

  static HWY_INLINE VI add_vector(VI sum, VI w, const int8_t* x, int64_t v) {
    const auto* codes = reinterpret_cast<const int32_t*>(x) + 2 * v * kLanes;
    const VI x_even = hn::LoadU(Ints(), codes), x_odd = hn::LoadU(Ints(), codes + kLanes);
#if HWY_TARGET == HWY_AVX2
    return add_pairs(sum, fours(w, x_even, x_odd));
#else
    return add_dot(add_dot(sum, even(w), x_even), odd(w), x_odd);
#endif
  }
};

// BF16: a unit is two columns, sixteen are a block, the group of 32 of kernels/cpu/bf16/bf16_gemm.h. The
// input's units are those of its two chains: columns (2, 0), (6, 4), ... and then (3, 1), (7, 5), ..., low
// half first. kPairs: with AVX-512 BF16.
template <bool kPairs>
struct Bf16Units {
  static constexpr int64_t kUnits = 16;
  static void store_block(uint16_t* out, const uint16_t* x) {
    for (int64_t i = 0; i < kQuantBlock; ++i) {
      out[i % 2 * kUnits + i / 4 * 2 + (i / 2 % 2 == 0 ? 1 : 0)] = x[i];
    }
  }

  using Unsigned = hn::RebindToUnsigned<Floats>;
  using VU = hn::Vec<Unsigned>;
  static HWY_INLINE VU upper(VU v) { return hn::And(v, hn::Set(Unsigned(), 0xFFFF0000U)); }
  static HWY_INLINE VU lower(VU v) { return hn::And(v, hn::Set(Unsigned(), 0x0000FFFFU)); }

  // sum + the two products of every lane, that of the high halves first.
  static HWY_INLINE V add_pair(V sum, VU w, VU x) {
#if HWY_TARGET == HWY_AVX3_DL
    if constexpr (kPairs) {
      __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
      return sum;
    }
#endif
    const auto product = [&](V to, VU a, VU b) HWY_ATTR {
      return hn::MulAdd(hn::BitCast(Floats(), a), hn::BitCast(Floats(), b), to);
    };
    sum = product(sum, upper(w), upper(x));
    return product(sum, hn::ShiftLeft<16>(w), hn::ShiftLeft<16>(x));
  }

  template <int kRows>
  static HWY_INLINE void add_block(V (&total)[kRows], const uint32_t* units, const int8_t* x,
                                   int64_t stride, int64_t block) {
    x += block * 2 * kQuantBlock;
    const Unsigned d;
    V even[kRows], odd[kRows];
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) even[r] = odd[r] = hn::Zero(Floats());
    HWY_UNROLL(4)
    for (int64_t i = 0; i < kUnits / 2; ++i) {
      const VU first = hn::LoadU(d, units + 2 * i * kLanes);
      const VU second = hn::LoadU(d, units + (2 * i + 1) * kLanes);
      const VU even_w = hn::Or(hn::ShiftLeft<16>(first), lower(second));
      const VU odd_w = hn::Or(upper(first), hn::ShiftRight<16>(second));
      HWY_UNROLL(4)
      for (int r = 0; r < kRows; ++r) {
        const auto two = [&](int64_t unit) HWY_ATTR {
          return hn::BitCast(d, four_codes(x + r * stride + 4 * unit));
        };
        even[r] = add_pair(even[r], even_w, two(i));
        odd[r] = add_pair(odd[r], odd_w, two(kUnits / 2 + i));
      }
    }
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) total[r] = hn::Add(total[r], hn::Add(even[r], odd[r]));
  }
};

template <class Codes>
inline constexpr bool kIsBf16 = false;
template <bool kPairs>
inline constexpr bool kIsBf16<Bf16Units<kPairs>> = true;

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
