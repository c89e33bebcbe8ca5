// A panel holds as many rows of the weight as a vector has lanes, turned so that a lane is a row: four
// columns of every row in one vector. A row of the input meets it in broadcasts of four codes. One or two
// rows alone: kernels/cpu/unturned_rows-inl.h.
#include "hadal/kernels/cpu/turned_gemm.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12, of its own intrinsics
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/bf16/bf16_gemm.h"
#include "hadal/kernels/cpu/bf16/denormals_as_zeros.h"
#include "hadal/kernels/cpu/scratch.h"

// Other instruction sets than elsewhere: AVX3_DL has the dot products of bytes (VNNI), and AVX-512
// without them nothing here that AVX2 lacks.
#define HWY_WANT_AVX3_DL
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/turned_gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/unturned_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {
namespace {

// Rows of the input that share the loads of a panel: an integer and a float sum each.
constexpr int kTileRows = HWY_MAX_BYTES >= 64 ? 12 : 4;

// With so many rows of the input turning the weight does not pay.
constexpr int64_t kMostUnturned = 2;

// The rows of a panel, side by side. Beyond the last row stands the last row again.
struct SideBySide {
  std::array<const uint8_t*, kLanes> rows;
  int64_t bytes;      // of each
  const char* ahead;  // the next panel

  static constexpr int64_t kStep = 4 * kLanes;  // bytes of a row

  SideBySide(const uint8_t* first, int64_t stride, int64_t n_rows, int64_t n_bytes)
      : bytes(n_bytes), ahead(reinterpret_cast<const char*>(first + kLanes * stride)) {
    for (int64_t i = 0; i < kLanes; ++i) {
      rows[static_cast<size_t>(i)] = first + std::min(i, n_rows - 1) * stride;
    }
  }

  // The kStep bytes at `at` of every row, turned in units of 32 bits: out[unit][lane]; zeros beyond the
  // end. Meanwhile the next panel is asked for in the order in which it lies in memory.
  HWY_INLINE void turn(uint32_t* out, int64_t at) const {
    for (int64_t line = 0; line < kStep * kLanes; line += 64) {
      __builtin_prefetch(ahead + at * kLanes + line, 0, 2);
    }
    turn_step(out, rows, at, std::clamp<int64_t>(bytes - at, 0, kStep));
  }
};

// A panel's scales as [block][lane].
void turn_scales(float* scales, const CodedRows& w, int64_t n, int64_t n_rows, int64_t n_blocks) {
  const Floats d;
  const hn::RebindToUnsigned<Floats> d32;
  const SideBySide rows(reinterpret_cast<const uint8_t*>(w.scales + n * w.scale_stride),
                        2 * w.scale_stride, n_rows, 2 * n_blocks);
  HWY_ALIGN uint32_t
      pairs[kLanes * kLanes];  // two scales are one unit, the even block's the low half
  for (int64_t b = 0; b < n_blocks; b += 2 * kLanes) {
    rows.turn(pairs, 2 * b);
    for (int64_t pair = 0; pair < kLanes; ++pair) {
      const auto v = hn::Load(d32, pairs + pair * kLanes);
      float* out = scales + (b + 2 * pair) * kLanes;
      hn::Store(hn::BitCast(d, hn::ShiftLeft<16>(v)), d, out);
      hn::Store(hn::BitCast(d, hn::And(v, hn::Set(d32, 0xFFFF0000U))), d, out + kLanes);
    }
  }
}

// A panel's memory: the codes in turned units, and the scales; or what its rows contribute, unturned.
struct Panel {
  uint32_t* units;
  float* scales;

  static constexpr int64_t kMostUnits = 16;  // of a block, in any form
  static int64_t floats(int64_t n_blocks) {
    return kLanes * (kMostUnits * round_up(n_blocks, kLanes) + round_up(n_blocks, 2 * kLanes));
  }
  float* scaled() const {
    return reinterpret_cast<float*>(units);
  }  // [kMostUnturned][n_blocks][lane]
  Panel(float* memory, int64_t n_blocks)
      : units(reinterpret_cast<uint32_t*>(memory)),
        scales(memory + kLanes * kMostUnits * round_up(n_blocks, kLanes)) {}
};

// total[kRows] += blocks [first, last) of x times those of a panel, which begin at `units`.
template <class Codes, int kRows>
HWY_INLINE void add_blocks(V (&total)[kRows], const TurnedRows& x, const uint32_t* units,
                           const float* scales, int64_t first, int64_t last) {
  const Floats d;
  for (int64_t b = first; b < last; ++b, units += Codes::kUnits * kLanes) {
    if constexpr (kIsBf16<Codes>) {
      Codes::template add_block<kRows>(total, units, x.codes, x.stride, b);
    } else {
      VI sum[kRows];
      HWY_UNROLL(12)
      for (int r = 0; r < kRows; ++r) {
        sum[r] = hn::Set(Ints(), Codes::kHasOffset ? x.offsets[r * x.block_stride + b] : 0);
      }
      Codes::template add_block<kRows>(sum, units, x.codes, x.stride, b);
      const V scale = hn::Load(d, scales + b * kLanes);
      HWY_UNROLL(12)
      for (int r = 0; r < kRows; ++r) {
        const V both = hn::Mul(scale, hn::Set(d, x.scales[r * x.block_stride + b]));
        total[r] = hn::Add(total[r], hn::Mul(hn::ConvertTo(d, sum[r]), both));
      }
    }
  }
}

// y[kRows, n_valid] (+)= total
template <int kRows>
HWY_INLINE void store_totals(float* y, int64_t ldy, const V (&total)[kRows], int64_t n_valid,
                             bool accumulate) {
  const Floats d;
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    float* out = y + r * ldy;
    if (n_valid == kLanes) {
      hn::StoreU(accumulate ? hn::Add(total[r], hn::LoadU(d, out)) : total[r], d, out);
      continue;
    }
    HWY_ALIGN float values[kLanes];
    hn::Store(total[r], d, values);
    for (int64_t n = 0; n < n_valid; ++n) out[n] = values[n] + (accumulate ? out[n] : 0.0F);
  }
}

HWY_INLINE V load_totals(const float* y, int64_t n_valid) {
  if (n_valid == kLanes) return hn::LoadU(Floats(), y);
  HWY_ALIGN float values[kLanes] = {};
  std::copy_n(y, n_valid, values);
  return hn::Load(Floats(), values);
}

// A tile of rows times a panel: what many rows share is turned beforehand, ...
template <class Codes, int kRows>
void multiply_panel(float* y, int64_t ldy, const TurnedRows& x, const SideBySide*,
                    const Panel& panel, int64_t n_valid, bool accumulate) {
  V total[kRows];
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) total[r] = hn::Zero(Floats());
  add_blocks<Codes>(total, x, panel.units, panel.scales, 0, x.n_blocks);
  store_totals(y, ldy, total, n_valid, accumulate);
}

// ... a few rows are multiplied while it is turned, so that arithmetic hides behind reading.
template <class Codes, int kRows>
void multiply_turning(float* y, int64_t ldy, const TurnedRows& x, const SideBySide* rows,
                      const Panel& panel, int64_t n_valid, bool accumulate) {
  constexpr int64_t kBlocks = kLanes / Codes::kUnits > 0 ? kLanes / Codes::kUnits : 1;
  static_assert(kLanes % Codes::kUnits == 0 || kLanes < Codes::kUnits);
  constexpr int64_t kSteps = ceil_div(Codes::kUnits, kLanes);  // of a turn that a block takes
  HWY_ALIGN uint32_t units[kSteps * kLanes * kLanes];
  V total[kRows];
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    total[r] = hn::Zero(Floats());
    if constexpr (kIsBf16<Codes>) {  // the sum begins with what is there
      if (accumulate) total[r] = load_totals(y + r * ldy, n_valid);
    }
  }
  if constexpr (kIsBf16<Codes>) accumulate = false;
  int64_t at = 0;
  for (int64_t b = 0; b < x.n_blocks; b += kBlocks) {
    for (int64_t step = 0; step < kSteps; ++step, at += SideBySide::kStep) {
      rows->turn(units + step * kLanes * kLanes, at);
    }
    add_blocks<Codes>(total, x, units, panel.scales, b, std::min(x.n_blocks, b + kBlocks));
  }
  store_totals(y, ldy, total, n_valid, accumulate);
}

// y[T, n_valid] (+)= one or two rows times a panel's.
template <class Codes>
void multiply_unturned(View<float, 2> y, const TurnedRows& x, const CodedRows& w, int64_t n,
                       int64_t n_valid, bool accumulate, float* scaled) {
  static_assert(kMostUnturned == 2);
  for (int64_t j = 0; j < n_valid; ++j) {
    const auto scale = y.dim(0) == 1 ? scale_row<Codes, 1> : scale_row<Codes, 2>;
    scale(scaled, x, w, n + j, j);
  }
  for (int64_t t = 0; t < y.dim(0); ++t) {
    const V total[1] = {
        sum_of_blocks(scaled + t * round_up(x.n_blocks, kLanes) * kLanes, x.n_blocks)};
    store_totals(y.row(t).data() + n, y.stride(0), total, n_valid, accumulate);
  }
}

using Multiply = void (*)(float*, int64_t, const TurnedRows&, const SideBySide*, const Panel&,
                          int64_t, bool);
template <class Codes, int... kRows>
constexpr auto multiply_panels(std::integer_sequence<int, kRows...> /*less one*/) {
  return std::array<Multiply, sizeof...(kRows)>{multiply_panel<Codes, kRows + 1>...};
}
template <class Codes, int... kRows>
constexpr auto multiplies_turning(std::integer_sequence<int, kRows...> /*less one*/) {
  return std::array<Multiply, sizeof...(kRows)>{multiply_turning<Codes, kRows + 1>...};
}

template <class Codes>
constexpr auto panels() {
  if constexpr (kIsBf16<Codes>) {
    return 0;
  } else {
    return multiply_panels<Codes>(std::make_integer_sequence<int, kTileRows>());
  }
}

template <class Codes>
void multiply(View<float, 2> y, const TurnedRows& x, const WeightView& w, bool accumulate,
              float* memory) {
  [[maybe_unused]] constexpr auto kPanels = panels<Codes>();
  constexpr auto kTurning =
      multiplies_turning<Codes>(std::make_integer_sequence<int, kMostBf16Turned>());
  const CodedRows codes(w);
  const Panel panel(memory, x.n_blocks);
  const int64_t T = y.dim(0), n_tiles = ceil_div(T, int64_t{kTileRows});
  for (int64_t n = 0; n < w.rows; n += kLanes) {
    const int64_t n_valid = std::min<int64_t>(kLanes, w.rows - n);
    if constexpr (!kIsBf16<Codes>) {
      if (T <= kMostUnturned) {
        multiply_unturned<Codes>(y, x, codes, n, n_valid, accumulate, panel.scaled());
        continue;
      }
    }
    const SideBySide rows(codes.codes + n * codes.row_bytes, codes.row_bytes, n_valid, codes.bytes);
    if (codes.scales != nullptr) turn_scales(panel.scales, codes, n, n_valid, x.n_blocks);
    if (T <= std::ssize(kTurning)) {
      kTurning[static_cast<size_t>(T - 1)](y.data() + n, y.stride(0), x, &rows, panel, n_valid,
                                           accumulate);
      continue;
    }
    if constexpr (!kIsBf16<Codes>) {
      for (int64_t at = 0; at < codes.bytes; at += SideBySide::kStep) {
        rows.turn(panel.units + at / 4 * kLanes, at);
      }
      for (int64_t tile = 0; tile < n_tiles; ++tile) {
        const int64_t t = T * tile / n_tiles, n_rows = T * (tile + 1) / n_tiles - t;
        kPanels[static_cast<size_t>(n_rows - 1)](y.row(t).data() + n, y.stride(0), x.rows_from(t),
                                                 &rows, panel, n_valid, accumulate);
      }
    }
  }
}

// Codes, scale and offset of a block of the input, whose columns all exist.
template <class Codes>
HWY_INLINE void round_block(const TurnedRows& out, int64_t b, const float* x) {
  constexpr int64_t kVectors = kQuantBlock / kLanes;
  const Floats d;
  V largest = hn::Zero(d);
  HWY_UNROLL(8)
  for (int64_t v = 0; v < kVectors; ++v) {
    largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + v * kLanes)));
  }
  const float amax = hn::GetLane(hn::MaxOfLanes(d, largest));
  const V inverse = hn::Set(d, amax > 0.0F ? 127.0F / amax : 0.0F);
  VI sums = hn::Zero(Ints());
  HWY_UNROLL(4)
  for (int64_t i = 0; i < kQuantBlock; i += 2 * kLanes) {
    const VI first = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
    const VI second = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i + kLanes), inverse));
    sums = hn::Add(sums, hn::Add(first, second));
    Codes::store_two(out.codes, b, i, first, second);
  }
  // A value that is not finite marks its whole block: an integer could not.
  out.scales[b] = amax <= std::numeric_limits<float>::max()
                      ? amax / 127.0F
                      : std::numeric_limits<float>::quiet_NaN();
  out.offsets[b] = Codes::offset(hn::GetLane(hn::SumOfLanes(Ints(), sums)));
}

template <class Codes>
void round_blocks(const TurnedRows& out, std::span<const float> x) {
  const int64_t n_whole = std::ssize(x) / kQuantBlock;
  for (int64_t b = 0; b < n_whole; ++b) round_block<Codes>(out, b, x.data() + b * kQuantBlock);
  if (n_whole < out.n_blocks) {
    HWY_ALIGN std::array<float, kQuantBlock> rest{};
    std::copy(x.begin() + n_whole * kQuantBlock, x.end(), rest.begin());
    round_block<Codes>(out, n_whole, rest.data());
  }
  std::fill(out.scales + out.n_blocks, out.scales + out.block_stride, 0.0F);
}

}  // namespace

int64_t panel_floats(int64_t n_blocks) { return Panel::floats(n_blocks); }

void multiply_codes(View<float, 2> y, const TurnedRows& x, const WeightView& w, bool accumulate,
                    float* memory) {
  switch (x.form) {
    case TurnedForm::kQ8:
      return multiply<ByteUnits>(y, x, w, accumulate, memory);
    case TurnedForm::kQ4:
      return multiply<HalfByteUnits>(y, x, w, accumulate, memory);
    case TurnedForm::kBf16InF32:
      return multiply<Bf16Units<false>>(y, x, w, accumulate, memory);
    case TurnedForm::kBf16Pairs:
#if HWY_TARGET == HWY_AVX3_DL
      return multiply<Bf16Units<true>>(y, x, w, accumulate, memory);
#endif
    case TurnedForm::kNone:
      break;
  }
  HWY_ABORT("a product that is not turned");
}

// One row of x.
void round_row(const TurnedRows& out, std::span<const float> x) {
  if (is_bf16(out.form)) {  // whose values are those of BF16
    auto* to = reinterpret_cast<uint16_t*>(out.codes);
    for (int64_t b = 0; b < out.n_blocks; ++b) {
      std::array<uint16_t, kQuantBlock> block{};
      const int64_t first = b * kQuantBlock, n = std::min(kQuantBlock, std::ssize(x) - first);
      std::transform(x.begin() + first, x.begin() + first + n, block.begin(),
                     [](float v) { return to_bf16(v).bits; });
      Bf16Units<false>::store_block(to + first, block.data());
    }
    return;
  }
  if (out.form == TurnedForm::kQ4) {
    round_blocks<HalfByteUnits>(out, x);
  } else {
    round_blocks<ByteUnits>(out, x);
  }
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(panel_floats);
HWY_EXPORT(multiply_codes);
HWY_EXPORT(round_row);

// Floats of memory that T rows take.
struct Layout {
  TurnedForm form;
  int64_t T, n_blocks, block_stride, stride;
  Layout(TurnedForm f, View<const float, 2> x)
      : form(f),
        T(x.dim(0)),
        n_blocks(ceil_div(x.dim(1), kQuantBlock)),
        block_stride(round_up(n_blocks, int64_t{16})),
        stride(block_stride * kQuantBlock * (is_bf16(f) ? 2 : 1)) {}
  int64_t floats() const { return T * (stride / 4 + 2 * block_stride); }
  TurnedRows at(float* memory) const {
    float* scales = memory + T * stride / 4;
    return {form,
            n_blocks,
            block_stride,
            stride,
            reinterpret_cast<int8_t*>(memory),
            scales,
            reinterpret_cast<int32_t*>(scales + T * block_stride)};
  }
};

}  // namespace

TurnedForm turned_form(const Product& product) {
  switch (product.w.form) {
    case WeightForm::kQ8:
      return TurnedForm::kQ8;
    case WeightForm::kQ4:
      return TurnedForm::kQ4;
    case WeightForm::kBF16:
      if (!product.is_bf16 || product.in.dim(0) > kMostBf16Turned) return TurnedForm::kNone;
      return has_bf16_dots() ? TurnedForm::kBf16Pairs : TurnedForm::kBf16InF32;
    default:
      return TurnedForm::kNone;
  }
}

TurnedInputs::TurnedInputs(ThreadPool& pool, std::span<const Product> products) {
  struct Input {
    View<const float, 2> x;
    TurnedForm form;
  };
  std::vector<Input> inputs;
  int64_t floats = 0, n_rows = 0;
  for (const Product& product : products) {
    const TurnedForm form = turned_form(product);
    if (form == TurnedForm::kNone) {
      index_.push_back(0);
      continue;
    }
    const auto same = std::ranges::find_if(inputs, [&](const Input& input) {
      return input.x.data() == product.in.data() && input.x.shape() == product.in.shape() &&
             input.x.stride(0) == product.in.stride(0) && input.form == form;
    });
    index_.push_back(static_cast<size_t>(same - inputs.begin()));
    if (same != inputs.end()) continue;
    inputs.push_back({product.in, form});
    floats += Layout(form, product.in).floats();
    n_rows += product.in.dim(0);
  }
  if (inputs.empty()) return;
  thread_local Scratch input_scratch;
  float* memory = input_scratch.take(floats);
  std::vector<std::pair<size_t, int64_t>> each_row;
  each_row.reserve(static_cast<size_t>(n_rows));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Layout layout(inputs[i].form, inputs[i].x);
    rows_.push_back(layout.at(memory));
    memory += layout.floats();
    for (int64_t t = 0; t < layout.T; ++t) each_row.emplace_back(i, t);
  }
  pool.parallel_for(n_rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const auto [i, t] = each_row[static_cast<size_t>(row)];
      HWY_DYNAMIC_DISPATCH(round_row)(rows_[i].rows_from(t), inputs[i].x.row(t));
    }
  });
}

void turned_gemm_nt(View<float, 2> y, const TurnedRows& x, const WeightView& w, bool accumulate) {
  if (y.dim(0) == 0) return;
  thread_local Scratch panel_scratch;
  std::optional<DenormalsAsZeros> as_bf16_instructions_do;
  if (is_bf16(x.form)) as_bf16_instructions_do.emplace();
  HWY_DYNAMIC_DISPATCH(multiply_codes)
  (y, x, w, accumulate, panel_scratch.take(HWY_DYNAMIC_DISPATCH(panel_floats)(x.n_blocks)));
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
