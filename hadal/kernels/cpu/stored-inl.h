// kernels/cpu/stored-inl.h: loads of stored weights, whatever their form, as f32 vectors: what a
// kernel multiplies is bit for bit what the weight widened to F32 beforehand would give it.
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_STORED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_STORED_INL_H_
#undef HADAL_KERNELS_CPU_STORED_INL_H_
#else
#define HADAL_KERNELS_CPU_STORED_INL_H_
#endif

#include <array>

#include "hadal/kernels/cpu/simd-inl.h"
#include "hadal/tensor/weight_view.h"
#include "hwy/cache_control.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

using V = hn::Vec<Floats>;
using FourFloats = hn::CappedTag<float, 4>;
inline constexpr int64_t kLanes = HWY_MAX_BYTES / 4;

template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const bf16* p) {
  const hn::RebindToUnsigned<D> d32;
  const hn::Rebind<uint16_t, D> d16;
  const auto bits = hn::PromoteTo(d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}
template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const f16* p) {
  const hn::Rebind<hwy::float16_t, D> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)));
}

template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const int8_t* p) {
  const hn::RebindToSigned<D> d32;
  return hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(hn::Rebind<int8_t, D>(), p)));
}

// The bits of an E4M3 code, sign and exponent and mantissa, stand in those of a binary16 that is
// 2^8 times smaller (bias 15, not 7): subnormal codes become exact like all others. Only the two
// NaN codes would be +-480.
template <class D>
HWY_INLINE hn::Vec<D> load_stored(D d, const f8e4m3* p) {
  const hn::Rebind<int16_t, D> d16;
  const hn::Rebind<hwy::float16_t, D> d_half;
  const auto codes = hn::LoadU(hn::Rebind<int8_t, D>(), reinterpret_cast<const int8_t*>(p));
  const auto sign_and_rest = hn::Set(d16, static_cast<int16_t>(0xBF80));
  const auto bits = hn::And(hn::ShiftLeft<7>(hn::PromoteTo(d16, codes)), sign_and_rest);
  const auto value = hn::Mul(hn::PromoteTo(d, hn::BitCast(d_half, bits)), hn::Set(d, 256.0F));
  return hn::IfThenElse(hn::Eq(hn::Abs(value), hn::Set(d, 480.0F)), hn::NaN(d), value);
}

// n / divisor without a division. Exact while n * divisor < 2^40.
class Divide {
 public:
  explicit Divide(int64_t divisor) : reciprocal_(((int64_t{1} << 40) + divisor - 1) / divisor) {}
  HWY_INLINE int64_t operator()(int64_t n) const { return n * reciprocal_ >> 40; }

 private:
  int64_t reciprocal_;
};

// Asks for the cache lines of n bytes but the first one, if it is not whole: those that use neighbours in
// ascending order have it from the ones before.
HWY_INLINE void ask_for_lines(const char* bytes, int64_t n) {
  for (int64_t line = 1; line <= n; line += 64) __builtin_prefetch(bytes + n - line, 0, 3);
}

// Where the scale of a vector stands in its row, for weights that have scales: the same in every row.
struct NoPlace {};

template <class T>
struct PlainRow {
  const T* data;
  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, int64_t k, NoPlace = {}) const {
    return load_stored(d, data + k);
  }
  template <class D>
  HWY_INLINE std::array<hn::Vec<D>, 2> load_two(D d, int64_t k, NoPlace = {}) const {
    return {load(d, k), load(d, k + static_cast<int64_t>(hn::Lanes(d)))};
  }
};

// Rows of a weight that is stored as values. row(n).load(d, k) is the vector of the values at
// (n, k), (n, k + 1), ...; all of them must exist.
template <class T>
struct PlainRows {
  explicit PlainRows(const WeightView& w)
      : data(static_cast<const T*>(w.data)), row_stride(w.row_stride) {}

  HWY_INLINE PlainRow<T> row(int64_t n) const { return {data + n * row_stride}; }
  HWY_INLINE NoPlace place(int64_t /*k*/) const { return {}; }
  // Where the stored elements of (n, k) stand, for prefetching, and the bytes of k columns.
  HWY_INLINE const char* address(int64_t n, int64_t k) const {
    return reinterpret_cast<const char*>(data + n * row_stride + k);
  }
  HWY_INLINE void ask_for(int64_t n, int64_t k, int64_t n_cols) const {
    ask_for_lines(address(n, k), bytes(n_cols));
  }
  static int64_t bytes(int64_t k) { return k * static_cast<int64_t>(sizeof(T)); }

  const T* data;
  int64_t row_stride;
};

// E4M3 codes without their scales, for products that put the scales into the input
// (kernels/cpu/scaled_input-inl.h). Sign, exponent and mantissa of a code stand in those of an f32 that
// is 2^120 times smaller (bias 127, not 7), subnormals included: three operations a vector where the
// way through binary16 takes five. Only the two NaN codes would be +-480.
struct Fp8CodeRow {
  const uint8_t* data;
  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, int64_t k, NoPlace = {}) const {
    const hn::RebindToSigned<D> d32;
    const auto code = hn::PromoteTo(
        d32, hn::LoadU(hn::Rebind<int8_t, D>(), reinterpret_cast<const int8_t*>(data) + k));
    const auto sign_and_rest = hn::Set(d32, static_cast<int32_t>(0x87F00000));
    return hn::BitCast(d, hn::And(hn::ShiftLeft<20>(code), sign_and_rest));
  }
  template <class D>
  HWY_INLINE std::array<hn::Vec<D>, 2> load_two(D d, int64_t k, NoPlace = {}) const {
    return {load(d, k), load(d, k + static_cast<int64_t>(hn::Lanes(d)))};
  }
};

struct Fp8CodeRows {
  explicit Fp8CodeRows(const WeightView& w)
      : codes(static_cast<const uint8_t*>(w.data)), row_stride(w.row_stride) {}
  HWY_INLINE Fp8CodeRow row(int64_t n) const { return {codes + n * row_stride}; }
  HWY_INLINE NoPlace place(int64_t /*k*/) const { return {}; }
  HWY_INLINE const char* address(int64_t n, int64_t k) const {
    return reinterpret_cast<const char*>(codes + n * row_stride + k);
  }
  HWY_INLINE void ask_for(int64_t n, int64_t k, int64_t n_cols) const {
    ask_for_lines(address(n, k), bytes(n_cols));
  }
  static int64_t bytes(int64_t k) { return k; }

  const uint8_t* codes;
  int64_t row_stride;
};

// 8-bit codes, one a byte.
template <class T>
struct ByteCodes {
  static int64_t bytes(int64_t k) { return k; }
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t* row, int64_t k) {
    return load_stored(d, reinterpret_cast<const T*>(row) + k);
  }
};

// 4-bit codes 0 to 15 for -8 to 7, the even column in the low half of its byte.
struct HalfByteCodes {
  static int64_t bytes(int64_t k) { return k / 2; }
  // REQUIRES an even k, but for vectors of one lane.
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t* row, int64_t k) {
    if constexpr (hn::MaxLanes(D()) == 1) {
      return hn::Set(d, static_cast<float>((row[k / 2] >> (k % 2 * 4) & 15) - 8));
    } else {
      const hn::Half<D> d_pairs;
      const hn::Rebind<uint16_t, decltype(d_pairs)> d16;
      const hn::RebindToSigned<D> d32;
      const auto pairs =
          hn::PromoteTo(d16, hn::LoadU(hn::Rebind<uint8_t, decltype(d_pairs)>(), row + k / 2));
      const auto spread = hn::Or(hn::And(pairs, hn::Set(d16, uint16_t{0x000F})),
                                 hn::And(hn::ShiftLeft<4>(pairs), hn::Set(d16, uint16_t{0x0F00})));
      const auto codes = hn::BitCast(hn::Rebind<uint8_t, D>(), spread);
      return hn::ConvertTo(d, hn::Sub(hn::PromoteTo(d32, codes), hn::Set(d32, 8)));
    }
  }
};

// Rows of a weight that is stored as codes with scales. A vector lies in one column block or two,
// for no block is narrower than a vector (ops/check_weight.h).
template <class Codes, class Scale>
struct ScaledRows {
  struct Place {
    int64_t block, left;  // columns of the block from the vector's first on
  };
  struct Places {
    int64_t col0, block_cols;
    Divide block_of;

    HWY_INLINE Place operator()(int64_t k) const {
      const int64_t block = block_of(col0 + k);
      return {block, (block + 1) * block_cols - (col0 + k)};
    }
  };
  struct Row {
    const uint8_t* codes;
    const Scale* scales;  // of the whole row, from its first block
    Places place;

    template <class D>
    HWY_INLINE hn::Vec<D> load(D d, int64_t k) const {
      return load(d, k, place(k));
    }
    template <class D>
    HWY_INLINE hn::Vec<D> load(D d, int64_t k, const Place& at) const {
      auto scale = hn::Set(d, widened(scales[at.block]));
      if (at.left < static_cast<int64_t>(hn::Lanes(d))) {
        const auto next = hn::Set(d, widened(scales[at.block + 1]));
        scale = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(at.left)), scale, next);
      }
      return hn::Mul(Codes::load(d, codes, k), scale);
    }
    // The vectors at k and behind it; they mostly share a scale.
    template <class D>
    HWY_INLINE std::array<hn::Vec<D>, 2> load_two(D d, int64_t k, const Place& at) const {
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      if (at.left < 2 * lanes) return {load(d, k, at), load(d, k + lanes)};
      const auto scale = hn::Set(d, widened(scales[at.block]));
      return {hn::Mul(Codes::load(d, codes, k), scale),
              hn::Mul(Codes::load(d, codes, k + lanes), scale)};
    }
    static HWY_INLINE float widened(float scale) { return scale; }
    static HWY_INLINE float widened(bf16 scale) { return to_float(scale); }
  };
  explicit ScaledRows(const WeightView& w)
      : codes(static_cast<const uint8_t*>(w.data)),
        row_stride(w.row_stride),
        scales(w.scales),
        row_block_of(w.scales.tiling.rows),
        place{w.scales.col0, w.scales.tiling.cols, Divide(w.scales.tiling.cols)} {}

  HWY_INLINE Row row(int64_t n) const {
    const int64_t block = row_block_of(scales.row0 + n);
    return {codes + n * row_stride,
            static_cast<const Scale*>(scales.data) + block * scales.row_stride, place};
  }
  HWY_INLINE const char* address(int64_t n, int64_t k) const {
    return reinterpret_cast<const char*>(codes + n * row_stride + bytes(k));
  }
  HWY_INLINE void ask_for(int64_t n, int64_t k, int64_t n_cols) const {
    ask_for_lines(address(n, k), bytes(n_cols));
    ask_for_lines(reinterpret_cast<const char*>(row(n).scales + place(k).block), 1);
  }
  static int64_t bytes(int64_t k) { return Codes::bytes(k); }

  const uint8_t* codes;
  int64_t row_stride;
  ScaleView scales;
  Divide row_block_of;
  Places place;
};

// Calls body with the rows of w in their form.
template <class Body>
HWY_INLINE void with_rows(const WeightView& w, const Body& body) {
  switch (w.form) {
    case WeightForm::kF32:
      return body(PlainRows<float>(w));
    case WeightForm::kBF16:
      return body(PlainRows<bf16>(w));
    case WeightForm::kF16:
      return body(PlainRows<f16>(w));
    case WeightForm::kFp8:
      return body(ScaledRows<ByteCodes<f8e4m3>, float>(w));
    case WeightForm::kQ8:
      return body(ScaledRows<ByteCodes<int8_t>, bf16>(w));
    case WeightForm::kQ4:
      return body(ScaledRows<HalfByteCodes, bf16>(w));
  }
  HWY_ABORT("a weight of unknown form");
}

// The n < lanes values from column k on, zeros behind them.
template <class D, class Row>
HWY_INLINE hn::Vec<D> load_first(D d, const Row& row, int64_t k, int64_t n) {
  HWY_ALIGN float values[hn::MaxLanes(D())] = {};
  for (int64_t i = 0; i < n; ++i) values[i] = hn::GetLane(row.load(OneFloat(), k + i));
  return hn::Load(d, values);
}

// Four vectors of four lanes, as rows of a matrix, to its columns.
template <class D4, class V4 = hn::Vec<D4>>
HWY_INLINE void transpose_4x4(D4 d, V4& a, V4& b, V4& c, V4& e) {
  const hn::RepartitionToWide<D4> d64;
  const V4 ab_low = hn::InterleaveLower(d, a, b), ab_high = hn::InterleaveUpper(d, a, b);
  const V4 ce_low = hn::InterleaveLower(d, c, e), ce_high = hn::InterleaveUpper(d, c, e);
  const auto lower = [&](V4 x, V4 y) HWY_ATTR {
    return hn::BitCast(d, hn::InterleaveLower(d64, hn::BitCast(d64, x), hn::BitCast(d64, y)));
  };
  const auto upper = [&](V4 x, V4 y) HWY_ATTR {
    return hn::BitCast(d, hn::InterleaveUpper(d64, hn::BitCast(d64, x), hn::BitCast(d64, y)));
  };
  a = lower(ab_low, ce_low);
  b = upper(ab_low, ce_low);
  c = lower(ab_high, ce_high);
  e = upper(ab_high, ce_high);
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
