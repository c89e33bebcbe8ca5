// kernels/cpu/unturned_rows-inl.h: a row or two of the input times weights in codes, read from end to end.
//
// A row after the other is what memory likes best: 22 to 27 GB/s on one thread of Zen 4 where sixteen rows side
// by side, the next ones asked for ahead, give 14 to 18 (docs/log.md, 2026-11-27). So nothing of the weight is
// turned. A vector of its bytes meets the input's; the sums of as many blocks as a vector has lanes are
// gathered into one, scaled, and wait in memory until as many rows are there; then they are turned, which
// are a thirty-second of what the codes were, and added up in ascending order, as in
// kernels/cpu/turned_gemm.cc.
// Compiled once per instruction set, hence the toggling guard.
#if defined(HADAL_KERNELS_CPU_UNTURNED_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HADAL_KERNELS_CPU_UNTURNED_ROWS_INL_H_
#undef HADAL_KERNELS_CPU_UNTURNED_ROWS_INL_H_
#else
#define HADAL_KERNELS_CPU_UNTURNED_ROWS_INL_H_
#endif

#include "hadal/kernels/cpu/turned_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// Where the bytes of a weight's row stand, and its scales, if it has some.
struct CodedRows {
  const uint8_t* codes;
  int64_t row_bytes, bytes;  // from row to row, and of the columns that exist
  const bf16* scales;
  int64_t scale_stride;

  explicit CodedRows(const WeightView& w)
      : codes(static_cast<const uint8_t*>(w.data)),
        row_bytes(w.form == WeightForm::kBF16 ? 2 * w.row_stride : w.row_stride),
        bytes(ceil_div(w.cols * bits_per_value(w.form), int64_t{8})),
        scales(w.scales.data == nullptr
                   ? nullptr
                   : static_cast<const bf16*>(w.scales.data) + w.scales.row0 * w.scales.row_stride +
                         w.scales.col0 / kQuantBlock),
        scale_stride(w.scales.row_stride) {}
};

// The bytes of a vector at `at`, of which the first n_bytes exist; zeros stand for the others.
template <bool kWhole>
HWY_INLINE VI bytes_of(const uint8_t* at, int64_t n_bytes) {
  constexpr int64_t kBytes = 4 * kLanes;
  if (kWhole || n_bytes >= kBytes) return hn::LoadU(Ints(), reinterpret_cast<const int32_t*>(at));
  HWY_ALIGN std::array<uint8_t, kBytes> rest{};
  if (n_bytes > 0) std::memcpy(rest.data(), at, static_cast<size_t>(n_bytes));
  return hn::Load(Ints(), reinterpret_cast<const int32_t*>(rest.data()));
}

// Lane 4q + i: the sum of the four lanes of quarter q (16 bytes) of vector i.
HWY_INLINE VI quarter_sums(VI v0, VI v1, VI v2, VI v3) {
  const Ints d;
  const hn::Repartition<int64_t, Ints> d64;
  const auto pairs = [&](VI a, VI b) HWY_ATTR {
    return hn::BitCast(d64, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  };
  const auto a = pairs(v0, v1), b = pairs(v2, v3);
  return hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, a, b)),
                 hn::BitCast(d, hn::InterleaveUpper(d64, a, b)));
}

// out[i] = v[order of i]
template <class Order>
HWY_INLINE VI reorder(VI v, const Order& order) {
  HWY_ALIGN std::array<int32_t, kLanes> from;
  for (int32_t i = 0; i < static_cast<int32_t>(kLanes); ++i)
    from[static_cast<size_t>(i)] = order(i);
  return hn::TableLookupLanes(v, hn::SetTableIndices(Ints(), from.data()));
}

// Lane i: the sum of products of block i of kLanes blocks, of whose bytes in the weight the first
// n_bytes exist.
template <class Codes, bool kWhole>
HWY_INLINE VI group_sums(const uint8_t* w, int64_t n_bytes, const int8_t* x) {
  constexpr int32_t kQuarters = kLanes / 4;  // of a vector
  const auto part = [&](int64_t v) HWY_ATTR {
    const int64_t at = v * 4 * kLanes;
    return Codes::add_vector(hn::Zero(Ints()), bytes_of<kWhole>(w + at, n_bytes - at), x, v);
  };
  const auto four = [&](int64_t v) HWY_ATTR {
    return quarter_sums(part(v), part(v + 1), part(v + 2), part(v + 3));
  };
  if constexpr (Codes::kUnits == 4) {  // a block is a quarter
    return reorder(four(0), [](int32_t i) { return i % kQuarters * 4 + i / kQuarters; });
  } else {  // two
    static_assert(Codes::kUnits == 8);
#if HWY_TARGET == HWY_AVX3_DL
    const VI low = four(0), high = four(4);
    const VI sums = hn::Add(VI{_mm512_shuffle_i32x4(low.raw, high.raw, 0x88)},
                            VI{_mm512_shuffle_i32x4(low.raw, high.raw, 0xDD)});
    return reorder(sums, [](int32_t i) { return i / 8 * 8 + i % 2 * 4 + i / 2 % 4; });
#elif HWY_TARGET == HWY_AVX2
    const VI low = four(0), high = four(4);
    return hn::Add(VI{_mm256_permute2x128_si256(low.raw, high.raw, 0x20)},
                   VI{_mm256_permute2x128_si256(low.raw, high.raw, 0x31)});
#else
    const auto both = [&](int64_t v) HWY_ATTR { return hn::Add(part(v), part(v + 1)); };
    return quarter_sums(both(0), both(2), both(4), both(6));
#endif
  }
}

// scaled[row of x][group of blocks][row of the weight][block]: what row j of a panel contributes.
template <class Codes, int kRows>
HWY_INLINE void scale_row(float* scaled, const TurnedRows& x, const CodedRows& w, int64_t row,
                          int64_t j) {
  const Floats d;
  const uint8_t* codes = w.codes + row * w.row_bytes;
  const bf16* scales = w.scales + row * w.scale_stride;
  const int64_t n_groups = ceil_div(x.n_blocks, kLanes);
  const auto group = [&](int64_t g, auto whole) HWY_ATTR {
    constexpr int64_t kBytes = kLanes * Codes::kUnits * 4;
    const int64_t b = g * kLanes;
    V scale;
    if constexpr (whole()) {
      scale = load_stored(d, scales + b);
    } else {
      scale = load_first(d, PlainRow<bf16>{scales}, b, x.n_blocks - b);
    }
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) {
      VI sums = group_sums<Codes, whole()>(codes + g * kBytes, w.bytes - g * kBytes,
                                           x.codes + r * x.stride + b * kQuantBlock);
      const int64_t at = r * x.block_stride + b;
      if constexpr (Codes::kHasOffset) sums = hn::Add(sums, hn::LoadU(Ints(), x.offsets + at));
      hn::Store(hn::Mul(hn::ConvertTo(d, sums), hn::Mul(scale, hn::LoadU(d, x.scales + at))), d,
                scaled + ((r * n_groups + g) * kLanes + j) * kLanes);
    }
  };
  const int64_t n_whole = std::min(x.n_blocks / kLanes, w.bytes / (kLanes * Codes::kUnits * 4));
  for (int64_t g = 0; g < n_whole; ++g) group(g, std::true_type());
  for (int64_t g = n_whole; g < n_groups; ++g) group(g, std::false_type());
}

// What scaled [group of blocks][lane][block] gives for every lane, blocks added in ascending order.
HWY_INLINE V sum_of_blocks(const float* scaled, int64_t n_blocks) {
  HWY_ALIGN uint32_t turned[kLanes * kLanes];
  std::array<const uint8_t*, kLanes> rows;
  V total = hn::Zero(Floats());
  const auto add = [&](int64_t block) HWY_ATTR {
    const auto* each = reinterpret_cast<const float*>(turned) + block * kLanes;
    total = hn::Add(total, hn::Load(Floats(), each));
  };
  for (int64_t b = 0; b < n_blocks; b += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) {
      rows[i] = reinterpret_cast<const uint8_t*>(scaled + (b + static_cast<int64_t>(i)) * kLanes);
    }
    turn_step(turned, rows, 0, 4 * kLanes);
    if (n_blocks - b >= kLanes) {
      HWY_UNROLL(16)
      for (int64_t i = 0; i < kLanes; ++i) add(i);
    } else {
      for (int64_t i = 0; i < n_blocks - b; ++i) add(i);
    }
  }
  return total;
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
