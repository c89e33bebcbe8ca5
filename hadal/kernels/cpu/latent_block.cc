#include "hadal/kernels/cpu/latent_block.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hadal/kernels/cpu/attention_rows.h"
#include "hwy/highway.h"

#if HWY_ARCH_X86_64 && (defined(__GNUC__) || defined(__clang__))
#define HADAL_BF16_PRODUCTS 1
// GCC 12 warns of its own header's deliberately undefined operands.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#define HADAL_BF16_PRODUCTS 0
#endif

namespace hadal::cpu {

void round_to_bf16(bf16* to, const float* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(from[i]);
}

void ask_for(const std::byte* data, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(data + at, 0, 2);
}

#if HADAL_BF16_PRODUCTS

bool has_bf16_products() {
  static const bool has =
      __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  return has && uses_512_bits();
}

// Of every function and lambda below, so that nothing else is compiled for this set.
#define HADAL_BF16_ATTR __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace {

// What to ask for while rows [row, ...) of a page are read.
const std::byte* address_ahead(const std::byte* page, int64_t row, int64_t row_bytes,
                               ReadAhead ahead) {
  const int64_t wanted = row + ReadAhead::kRows;
  if (wanted < kPageRows) return page + wanted * row_bytes;
  return ahead.next_page == nullptr ? nullptr : ahead.next_page + (wanted - kPageRows) * row_bytes;
}

using Pairs = __m512i;  // 32 BF16

HADAL_BF16_ATTR inline __m512 multiply_add(__m512 sum, Pairs a, Pairs b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

// Lane j is the sum of all lanes of the j-th argument.
HADAL_BF16_ATTR inline __m128 sums_of_four(__m512 a, __m512 b, __m512 c, __m512 e) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 ce = _mm512_add_ps(_mm512_unpacklo_ps(c, e), _mm512_unpackhi_ps(c, e));
  const __m512d ab_pd = _mm512_castps_pd(ab), ce_pd = _mm512_castps_pd(ce);
  const __m512 abce = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab_pd, ce_pd)),
                                    _mm512_castpd_ps(_mm512_unpackhi_pd(ab_pd, ce_pd)));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abce), _mm512_extractf32x8_ps(abce, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

constexpr int kMostDots = 6;  // rows of q beside four keys: 24 sums, 6 + 1 operands

template <int kRows>
HADAL_BF16_ATTR void dot_tile(View<float, 2> s, View<const bf16, 2> q, View<const bf16, 2> k,
                              int64_t row, int64_t key, const std::byte* ahead) {
  const int64_t n = std::min<int64_t>(4, k.dim(0) - key), d = k.dim(1);
  const bf16* keys[4];
  for (int64_t i = 0; i < 4; ++i) keys[i] = k.row(key + std::min(i, n - 1)).data();
  __m512 sum[kRows][4];
  for (auto& of_row : sum) {
    for (__m512& each : of_row) each = _mm512_setzero_ps();
  }
  const bf16* const queries = q.row(row).data();
  const int64_t stride = q.stride(0);
  int64_t c = 0;
  const auto step = [&](Pairs y0, Pairs y1, Pairs y2, Pairs y3) HADAL_BF16_ATTR {
    for (int r = 0; r < kRows; ++r) {
      const Pairs x = _mm512_loadu_si512(queries + r * stride + c);
      sum[r][0] = multiply_add(sum[r][0], x, y0);
      sum[r][1] = multiply_add(sum[r][1], x, y1);
      sum[r][2] = multiply_add(sum[r][2], x, y2);
      sum[r][3] = multiply_add(sum[r][3], x, y3);
    }
  };
  for (; c + kBf16Step <= d; c += kBf16Step) {
    if (ahead != nullptr) {  // four rows' share; a call would cost all registers
      _mm_prefetch(ahead + c * 8, _MM_HINT_T1);
      _mm_prefetch(ahead + c * 8 + 64, _MM_HINT_T1);
      _mm_prefetch(ahead + c * 8 + 128, _MM_HINT_T1);
      _mm_prefetch(ahead + c * 8 + 192, _MM_HINT_T1);
    }
    step(_mm512_loadu_si512(keys[0] + c), _mm512_loadu_si512(keys[1] + c),
         _mm512_loadu_si512(keys[2] + c), _mm512_loadu_si512(keys[3] + c));
  }
  if (c < d) {
    const __mmask32 mask = static_cast<__mmask32>((uint64_t{1} << (d - c)) - 1);
    step(_mm512_maskz_loadu_epi16(mask, keys[0] + c), _mm512_maskz_loadu_epi16(mask, keys[1] + c),
         _mm512_maskz_loadu_epi16(mask, keys[2] + c), _mm512_maskz_loadu_epi16(mask, keys[3] + c));
  }
  const __mmask8 mask = static_cast<__mmask8>((1 << n) - 1);
  for (int r = 0; r < kRows; ++r) {
    _mm_mask_storeu_ps(s.row(row + r).data() + key, mask,
                       sums_of_four(sum[r][0], sum[r][1], sum[r][2], sum[r][3]));
  }
}

constexpr int kMostSums = 8;  // rows of p beside 32 columns: 16 sums

// Columns c .. c + 31 of o; only those of the mask exist.
template <int kRows>
HADAL_BF16_ATTR void outer_tile(View<float, 2> o, View<const bf16, 2> p, View<const bf16, 2> v,
                                int64_t row, int64_t c, bool accumulate) {
  const int64_t n = v.dim(0), left = v.dim(1) - c;
  const __mmask32 mask =
      left >= kBf16Step ? ~__mmask32{0} : static_cast<__mmask32>((uint64_t{1} << left) - 1);
  // Interleaving two rows leaves columns 0-3, 8-11, 16-19, 24-27 in one vector, the others in the
  // other one.
  const __m512i low_half =
      _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i high_half = _mm512_add_epi32(low_half, _mm512_set1_epi32(8));
  const __mmask16 mask0 = static_cast<__mmask16>(mask), mask1 = static_cast<__mmask16>(mask >> 16);
  __m512 sum[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    if (!accumulate) {
      sum[r][0] = sum[r][1] = _mm512_setzero_ps();
      continue;
    }
    const float* const out = o.row(row + r).data() + c;
    const __m512 first = _mm512_maskz_loadu_ps(mask0, out),
                 second = _mm512_maskz_loadu_ps(mask1, out + 16);
    const __m512i even =
        _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    sum[r][0] = _mm512_permutex2var_ps(first, even, second);
    sum[r][1] = _mm512_permutex2var_ps(first, _mm512_add_epi32(even, _mm512_set1_epi32(4)), second);
  }
  const auto step = [&](int64_t j, Pairs a, Pairs b) HADAL_BF16_ATTR {
    const Pairs low = _mm512_unpacklo_epi16(a, b), high = _mm512_unpackhi_epi16(a, b);
    for (int r = 0; r < kRows; ++r) {
      int32_t pair;
      std::memcpy(&pair, p.row(row + r).data() + j, sizeof(pair));
      const Pairs both = _mm512_set1_epi32(pair);
      sum[r][0] = multiply_add(sum[r][0], low, both);
      sum[r][1] = multiply_add(sum[r][1], high, both);
    }
  };
  const int64_t stride = v.stride(0);
  const bf16* next = v.data() + c;
  int64_t j = 0;
  if (left >= kBf16Step) {
    for (; j + 2 <= n; j += 2, next += 2 * stride) {
      step(j, _mm512_loadu_si512(next), _mm512_loadu_si512(next + stride));
    }
  }
  for (; j < n;
       j += 2, next += 2 * stride) {  // the last row of an odd number, with zeros beside it
    step(j, _mm512_maskz_loadu_epi16(mask, next),
         _mm512_maskz_loadu_epi16(j + 1 < n ? mask : 0, next + stride));
  }
  for (int r = 0; r < kRows; ++r) {
    float* const out = o.row(row + r).data() + c;
    _mm512_mask_storeu_ps(out, mask0, _mm512_permutex2var_ps(sum[r][0], low_half, sum[r][1]));
    _mm512_mask_storeu_ps(out + 16, mask1, _mm512_permutex2var_ps(sum[r][0], high_half, sum[r][1]));
  }
}

// body(integral_constant of the number of rows, first row) for m rows, kMost at a time.
template <int kMost, class Body, int... kRows>
void for_rows(int64_t m, const Body& body, std::integer_sequence<int, kRows...> /*less one*/) {
  const int64_t n_portions = ceil_div(m, kMost);
  for (int64_t portion = 0; portion < n_portions; ++portion) {
    const int64_t begin = m * portion / n_portions, n = m * (portion + 1) / n_portions - begin;
    ((n == kRows + 1 ? body(std::integral_constant<int, kRows + 1>(), begin) : void()), ...);
  }
}
template <int kMost, class Body>
void for_rows(int64_t m, const Body& body) {
  for_rows<kMost>(m, body, std::make_integer_sequence<int, kMost>());
}

// 32 codes as BF16 numbers, times 2^exponent.
struct WidenCodes {
  HADAL_BF16_ATTR explicit WidenCodes(int exponent)
      : bias(_mm512_set1_epi16(static_cast<int16_t>((120 + exponent) << 7))) {
    // Codes below the smallest normal one, 2^-6: m * 2^-9.
    bf16 small[32] = {};
    for (int m = 1; m < 8; ++m) {
      small[m] = to_bf16(std::bit_cast<float>((118 + exponent) << 23) * static_cast<float>(m));
    }
    subnormal = _mm512_loadu_si512(small);
  }
  HADAL_BF16_ATTR __m512i operator()(__m256i codes) const {
    const __m512i wide = _mm512_cvtepu8_epi16(codes);
    const __m512i magnitude = _mm512_and_si512(wide, _mm512_set1_epi16(0x7F));
    __m512i value = _mm512_add_epi16(_mm512_slli_epi16(magnitude, 4), bias);
    const __mmask32 is_small = _mm512_testn_epi16_mask(wide, _mm512_set1_epi16(0x78));
    value = _mm512_mask_permutexvar_epi16(value, is_small, magnitude, subnormal);
    const __mmask32 is_nan = _mm512_cmpeq_epi16_mask(magnitude, _mm512_set1_epi16(0x7F));
    value = _mm512_mask_mov_epi16(value, is_nan, _mm512_set1_epi16(0x7FC0));
    const __m512i sign = _mm512_and_si512(_mm512_slli_epi16(wide, 8), _mm512_set1_epi16(INT16_MIN));
    return _mm512_or_si512(value, sign);
  }
  __m512i bias, subnormal;
};

}  // namespace

HADAL_BF16_ATTR
void bf16_round(bf16* to, const float* from, int64_t n) {
  constexpr int64_t kLanes = 16;
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = std::min(kLanes, n - i);
    const __mmask16 mask = static_cast<__mmask16>((1U << left) - 1);
    const __m256bh some = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from + i));
    _mm256_mask_storeu_epi16(to + i, mask, (__m256i)some);
  }
}

HADAL_BF16_ATTR
void bf16_scores(View<float, 2> s, View<const bf16, 2> q, View<const bf16, 2> k, ReadAhead ahead) {
  const std::byte* const page = reinterpret_cast<const std::byte*>(k.data());
  const int64_t row_bytes = k.stride(0) * static_cast<int64_t>(sizeof(bf16));
  for (int64_t key = 0; key < k.dim(0); key += 4) {
    const std::byte* const next = address_ahead(page, key, row_bytes, ahead);
    for_rows<kMostDots>(q.dim(0), [&](auto n_rows, int64_t row) HADAL_BF16_ATTR {
      dot_tile<n_rows()>(s, q, k, row, key, row == 0 ? next : nullptr);
    });
  }
}

HADAL_BF16_ATTR
void bf16_values(View<float, 2> o, View<const bf16, 2> p, View<const bf16, 2> v, bool accumulate) {
  for (int64_t c = 0; c < v.dim(1); c += kBf16Step) {
    for_rows<kMostSums>(p.dim(0), [&](auto n_rows, int64_t row) HADAL_BF16_ATTR {
      outer_tile<n_rows()>(o, p, v, row, c, accumulate);
    });
  }
}

HADAL_BF16_ATTR
void fp8_rows_as_bf16(View<bf16, 2> to, const LatentRows& from, ReadAhead ahead) {
  const int64_t d_c = from.layout.d_c;
  const View<float, 2> scales = from.scales();
  const View<f8e4m3, 2> codes = from.codes();
  const WeightView rope = from.rope();
  const int64_t row_bytes = from.layout.row_bytes();
  for (int64_t t = 0; t < from.n; ++t) {
    const std::byte* const next = address_ahead(from.data, t, row_bytes, ahead);
    if (next != nullptr) ask_for(next, row_bytes);
    for (int64_t tile = 0; tile < from.layout.n_scales(); ++tile) {
      // The scale is a power of two.
      const WidenCodes widen(static_cast<int>(std::bit_cast<uint32_t>(scales(t, tile)) >> 23) -
                             127);
      const int64_t end = std::min(d_c, (tile + 1) * LatentLayout::kTile);
      for (int64_t c = tile * LatentLayout::kTile; c < end; c += kBf16Step) {
        const int64_t left = std::min(kBf16Step, end - c);
        const __mmask32 mask = static_cast<__mmask32>((uint64_t{1} << left) - 1);
        const __m256i some = _mm256_maskz_loadu_epi8(mask, &codes(t, c));
        _mm512_mask_storeu_epi16(to.row(t).data() + c, mask, widen(some));
      }
    }
    std::memcpy(to.row(t).data() + d_c, static_cast<const bf16*>(rope.data) + t * rope.row_stride,
                static_cast<size_t>(rope.cols) * sizeof(bf16));
  }
}

#undef HADAL_BF16_ATTR

#else

bool has_bf16_products() { return false; }
void bf16_round(bf16*, const float*, int64_t) {}
void bf16_scores(View<float, 2>, View<const bf16, 2>, View<const bf16, 2>, ReadAhead) {}
void bf16_values(View<float, 2>, View<const bf16, 2>, View<const bf16, 2>, bool) {}
void fp8_rows_as_bf16(View<bf16, 2>, const LatentRows&, ReadAhead) {}

#endif

}  // namespace hadal::cpu
