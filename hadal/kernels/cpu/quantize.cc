#include "hadal/kernels/quantize.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"
#include "hadal/kernels/reference/widen.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/quantize.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

float fp8_amax(const float* x, int64_t n, float amax) {
  const Floats d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto largest = hn::Set(d, amax);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) largest = hn::Max(hn::Abs(hn::LoadU(d, x + i)), largest);
  amax = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < n; ++i) amax = std::max(amax, std::abs(x[i]));
  return amax;
}

// amax[i] = max(amax[i], |x[i]|)
void fp8_amax_columns(float* amax, const float* x, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Max(hn::Abs(hn::LoadU(d, x + i)), hn::LoadU(d, amax + i)), d, amax + i);
  });
}

// E4M3 codes of `value`, as in to_f8e4m3.
template <class D>
HWY_INLINE void store_codes(D d, hn::Vec<D> value, f8e4m3* codes) {
  const hn::Rebind<int32_t, D> d32;
  const hn::Rebind<uint8_t, D> d8;
  const auto all = hn::BitCast(d32, value);
  const auto sign = hn::And(hn::ShiftRight<24>(all), hn::Set(d32, 0x80));
  const auto magnitude = hn::Min(hn::Abs(value), hn::Set(d, kF8E4M3Max));
  // Normal results: round the mantissa to three bits, ties to even, then move the bias 127 to 7.
  const auto bits = hn::BitCast(d32, magnitude);
  const auto odd = hn::And(hn::ShiftRight<20>(bits), hn::Set(d32, 1));
  const auto rounded = hn::ShiftRight<20>(hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7FFFF))));
  const auto normal = hn::Sub(rounded, hn::Set(d32, 120 << 3));
  // Below 2^-6 the step is 2^-9, which is the last place of a float in [2^14, 2^15): adding 2^14
  // rounds to it.
  const auto shifter = hn::Set(d, 0x1p14F);
  const auto subnormal =
      hn::Sub(hn::BitCast(d32, hn::Add(magnitude, shifter)), hn::BitCast(d32, shifter));
  const auto is_normal = hn::Ge(magnitude, hn::Set(d, 0x1p-6F));
  auto code = hn::IfThenElse(hn::RebindMask(d32, is_normal), normal, subnormal);
  code = hn::Or(code, sign);
  code = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(value)), hn::Set(d32, 0x7F), code);
  hn::StoreU(hn::DemoteTo(d8, code), d8, reinterpret_cast<uint8_t*>(codes));
}

void fp8_encode(f8e4m3* codes, const float* x, float scale, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    store_codes(d, hn::Div(hn::LoadU(d, x + i), hn::Set(d, scale)), codes + i);
  });
}

void fp8_encode_columns(f8e4m3* codes, const float* x, const float* scales, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    store_codes(d, hn::Div(hn::LoadU(d, x + i), hn::LoadU(d, scales + i)), codes + i);
  });
}

void decode_rows(View<float, 2> x, const WeightView& codes) {
  with_rows(codes, [&](const auto& rows) HWY_ATTR {
    for (int64_t n = 0; n < x.dim(0); ++n) {
      float* const out = x.row(n).data();
      const auto row = rows.row(n);
      for_each_vector(x.dim(1),
                      [&](auto d, int64_t k) HWY_ATTR { hn::StoreU(row.load(d, k), d, out + k); });
    }
  });
}

void fp8_decode_columns(float* x, const f8e4m3* codes, const float* scales, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(load_stored(d, codes + i), hn::LoadU(d, scales + i)), d, x + i);
  });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(fp8_amax);
HWY_EXPORT(fp8_amax_columns);
HWY_EXPORT(fp8_encode);
HWY_EXPORT(fp8_encode_columns);
HWY_EXPORT(decode_rows);
HWY_EXPORT(fp8_decode_columns);

// The rows [row, row_end) of one band of tiles, tiles side by side.
void quantize_band(View<f8e4m3, 2> codes, std::span<float> scales, View<const float, 2> x,
                   int64_t tile_cols, bool power_of_two, bool amax_floor) {
  const auto amax_of = HWY_DYNAMIC_DISPATCH(fp8_amax);
  const auto encode = HWY_DYNAMIC_DISPATCH(fp8_encode);
  const auto [R, C] = x.shape();
  for (int64_t col = 0; col < C; col += tile_cols) {
    const int64_t n = std::min(tile_cols, C - col);
    float amax = 0;
    for (int64_t i = 0; i < R; ++i) amax = amax_of(x.row(i).data() + col, n, amax);
    const float scale = reference::fp8_scale(amax, power_of_two, amax_floor);
    scales[static_cast<size_t>(col / tile_cols)] = scale;
    for (int64_t i = 0; i < R; ++i) {
      encode(codes.row(i).data() + col, x.row(i).data() + col, scale, n);
    }
  }
}

// The same for tiles one column wide: whole rows at a time.
void quantize_columns_band(View<f8e4m3, 2> codes, std::span<float> scales, View<const float, 2> x,
                           bool power_of_two, bool amax_floor) {
  const auto amax_columns = HWY_DYNAMIC_DISPATCH(fp8_amax_columns);
  const auto encode_columns = HWY_DYNAMIC_DISPATCH(fp8_encode_columns);
  const auto [R, C] = x.shape();
  std::fill(scales.begin(), scales.end(), 0.0F);
  for (int64_t i = 0; i < R; ++i) amax_columns(scales.data(), x.row(i).data(), C);
  for (float& scale : scales) scale = reference::fp8_scale(scale, power_of_two, amax_floor);
  for (int64_t i = 0; i < R; ++i) {
    encode_columns(codes.row(i).data(), x.row(i).data(), scales.data(), C);
  }
}

}  // namespace

void quantize(ThreadPool& pool, View<f8e4m3, 2> codes, View<float, 2> scales,
              View<const float, 2> x, int64_t tile_rows, int64_t tile_cols, bool power_of_two,
              bool amax_floor) {
  const int64_t R = x.dim(0), grain = row_grain(tile_rows * x.dim(1));
  pool.parallel_for(ceil_div(R, tile_rows), grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t band = begin; band < end; ++band) {
      const int64_t row = band * tile_rows, row_end = std::min(R, row + tile_rows);
      const View<f8e4m3, 2> out = codes.rows(row, row_end);
      const View<const float, 2> in = x.rows(row, row_end);
      tile_cols == 1
          ? quantize_columns_band(out, scales.row(band), in, power_of_two, amax_floor)
          : quantize_band(out, scales.row(band), in, tile_cols, power_of_two, amax_floor);
    }
  });
}

void dequantize(ThreadPool& pool, View<float, 2> x, const WeightView& codes) {
  const auto decode = HWY_DYNAMIC_DISPATCH(decode_rows);
  // decode_rows multiplies a vector of codes by one scale; of column tiles every code has its own.
  const bool one_scale_a_vector = codes.scales.tiling.cols >= kQuantBlock;
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    if (one_scale_a_vector) return decode(x.rows(begin, end), codes.row_range(begin, end));
    for (int64_t n = begin; n < end; ++n) reference::widen_row(x.row(n), codes, n);
  });
}

void dequantize_columns(ThreadPool& pool, View<float, 2> x, View<const f8e4m3, 2> codes,
                        View<const float, 2> scales) {
  const auto decode = HWY_DYNAMIC_DISPATCH(fp8_decode_columns);
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      decode(x.row(t).data(), codes.row(t).data(), scales.row(t / kFp8Tile).data(), x.dim(1));
    }
  });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
