// Grouped products on the card, rows by group, against sums in double over the same codes and values.
#include "hadal/kernels/cuda/hopper/grouped_gemm.h"
#include "hadal/core/error.h"
#include "tests/cuda/grouped_products.h"

namespace hadal::test {
namespace {

using cuda::GroupedGemmTile;

// Rows by group, both types. `masked`: each group has rows for the largest and a count.
struct RowCase {
  bool masked = false;
  bool b_is_kn = false;
  GroupedGemmTile tile = GroupedGemmTile::kAuto;
  int64_t n = 264, k = 400;
  std::vector<int> group_rows = kGroupRows;
  int alone = -1;  // contiguous: all groups are empty but this row's, which has this row alone
};

struct Rows {
  std::vector<int> offsets, counts;
  int64_t rows = 0, all = 0;
  std::vector<int> group_of;  // each row, -1: none

  explicit Rows(const RowCase& c) : offsets{0}, counts(c.group_rows) {
    for (const int count : counts) offsets.push_back(offsets.back() + count);
    if (c.masked) {
      rows = *std::max_element(counts.begin(), counts.end());
      all = rows * static_cast<int64_t>(counts.size());
    } else {
      rows = all = offsets.back() + 5;  // the last five belong to nobody
    }
    group_of.assign(static_cast<size_t>(all), -1);
    for (size_t g = 0; g < counts.size(); ++g) {
      const int64_t first = c.masked ? static_cast<int64_t>(g) * rows : offsets[g];
      std::fill_n(group_of.begin() + first, counts[g], static_cast<int>(g));
    }
    if (c.alone < 0) return;
    const int group = group_of[static_cast<size_t>(c.alone)];
    std::fill(offsets.begin(), offsets.begin() + group + 1, c.alone);
    std::fill(offsets.begin() + group + 1, offsets.end(), c.alone + 1);
    std::fill(group_of.begin(), group_of.end(), -1);
    group_of[static_cast<size_t>(c.alone)] = group;
  }
};

cuda::RowGroups groups_of(const RowCase& c, const Rows& rows, const DeviceArray<int>& offsets,
                          const DeviceArray<int>& counts) {
  cuda::RowGroups groups;
  groups.groups = static_cast<int>(rows.counts.size());
  groups.rows = rows.rows;
  (c.masked ? groups.counts : groups.offsets) = c.masked ? counts.data() : offsets.data();
  return groups;
}

// What F32 results are added to, in y too; nothing where they are not.
template <class Out>
std::vector<float> fill_before(std::vector<Out>& y, int64_t n, bool accumulate, Random& random) {
  std::vector<float> before;
  if constexpr (sizeof(Out) == 4) {
    if (accumulate) before = random.floats(n);
    std::copy(before.begin(), before.end(), y.begin());
  }
  return before;
}

template <class Out>
cuda::GroupedResult result_in(const DeviceArray<Out>& y, int64_t stride, bool accumulate) {
  if constexpr (sizeof(Out) == 4) return {y.data(), stride, accumulate};
  if constexpr (sizeof(Out) == 2) return {y.data(), stride};
}

template <class Out, class Element>
void expect_rows(const std::vector<Out>& y, const Rows& rows, int64_t n, int64_t stride,
                 const std::vector<float>& before, const Element& element, const char* what) {
  int failures = 0;
  for (int64_t m = 0; m < rows.all; ++m) {
    const int g = rows.group_of[static_cast<size_t>(m)];
    for (int64_t j = 0; j < stride; ++j) {
      const Out& found = y[static_cast<size_t>(m * stride + j)];
      const double added =
          before.empty() ? 0 : static_cast<double>(before[static_cast<size_t>(m * stride + j)]);
      if (g >= 0 && j < n) {
        expect_within(found, element(m, j, g), added, what, m, j, failures);
      } else if (before.empty() ? !is_poison(found)
                                : static_cast<double>(value_of(found)) != added) {
        if (++failures <= 5) ADD_FAILURE() << what << " wrote [" << m << "," << j << "]";
      }
    }
  }
  EXPECT_EQ(failures, 0) << what;
  for (int64_t i = 0; i < kGuard; ++i) {
    EXPECT_TRUE(is_poison(y[static_cast<size_t>(rows.all * stride + i)])) << what << " guard";
  }
}

template <class Out>
std::vector<Out> run_fp8(const RowCase& c, bool accumulate, bool verify) {
  const Rows rows(c);
  const auto groups = static_cast<int64_t>(rows.counts.size());
  const int64_t blocks = (c.k + 127) / 128, column_blocks = (c.n + 127) / 128;
  const int64_t a_stride = c.k + 16, b_stride = c.k + 32, scale_stride = ceil_to(rows.all, 4) + 4;
  const int64_t b_scale_stride = blocks + 1, y_stride = c.n + 8;
  Random random(7);
  const auto a = random.codes(rows.all * a_stride), b = random.codes(groups * c.n * b_stride);
  const auto sa = random.scales(blocks * scale_stride);
  const auto sb = random.scales(groups * column_blocks * b_scale_stride);
  auto y = poisoned<Out>(rows.all * y_stride);
  const std::vector<float> before = fill_before(y, rows.all * y_stride, accumulate, random);
  const DeviceArray<f8e4m3> a_there(a), b_there(b);
  const DeviceArray<float> sa_there(sa), sb_there(sb);
  const DeviceArray<Out> y_there(y);
  const DeviceArray<int> offsets(rows.offsets), counts(rows.counts);
  cuda::GroupedGemmFp8 product;
  product.rows = groups_of(c, rows, offsets, counts);
  product.n = c.n;
  product.k = c.k;
  product.a = a_there.data();
  product.a_stride = a_stride;
  product.a_scales = sa_there.data();
  product.a_scale_stride = scale_stride;
  product.b = b_there.data();
  product.b_stride = b_stride;
  product.b_scales = sb_there.data();
  product.b_scale_stride = b_scale_stride;
  product.y = result_in(y_there, y_stride, accumulate);
  product.tile = c.tile;
  EXPECT_TRUE(cuda::can_multiply(product));
  cuda::multiply(product, nullptr);
  y = y_there.host();
  if (!verify) return y;
  const std::vector<double> decoded = decoded_e4m3();
  expect_rows(
      y, rows, c.n, y_stride, before,
      [&](int64_t m, int64_t j, int g) {
        const f8e4m3* a_row = a.data() + m * a_stride;
        const f8e4m3* b_row = b.data() + (g * c.n + j) * b_stride;
        return expected_fp8(
            0, c.k, [&](int64_t k) { return decoded[a_row[k].bits]; },
            [&](int64_t k) { return decoded[b_row[k].bits]; },
            [&](int64_t kb) {
              return static_cast<double>(sa[static_cast<size_t>(kb * scale_stride + m)]) *
                     static_cast<double>(sb[static_cast<size_t>(
                         (g * column_blocks + j / 128) * b_scale_stride + kb)]);
            });
      },
      "fp8");
  return y;
}

template <class Out>
std::vector<Out> run_bf16(const RowCase& c, bool accumulate, bool verify) {
  const Rows rows(c);
  const auto groups = static_cast<int64_t>(rows.counts.size());
  const int64_t a_stride = c.k + 8, b_stride = (c.b_is_kn ? c.n : c.k) + 16, y_stride = c.n + 8;
  const int64_t b_rows = c.b_is_kn ? c.k : c.n;
  Random random(11);
  const auto a = random.values(rows.all * a_stride), b = random.values(groups * b_rows * b_stride);
  auto y = poisoned<Out>(rows.all * y_stride);
  const std::vector<float> before = fill_before(y, rows.all * y_stride, accumulate, random);
  const DeviceArray<bf16> a_there(a), b_there(b);
  const DeviceArray<Out> y_there(y);
  const DeviceArray<int> offsets(rows.offsets), counts(rows.counts);
  cuda::GroupedGemmBf16 product;
  product.rows = groups_of(c, rows, offsets, counts);
  product.n = c.n;
  product.k = c.k;
  product.a = a_there.data();
  product.a_stride = a_stride;
  product.b = b_there.data();
  product.b_stride = b_stride;
  product.b_is_kn = c.b_is_kn;
  product.y = result_in(y_there, y_stride, accumulate);
  product.tile = c.tile;
  EXPECT_TRUE(cuda::can_multiply(product));
  cuda::multiply(product, nullptr);
  y = y_there.host();
  if (!verify) return y;
  expect_rows(
      y, rows, c.n, y_stride, before,
      [&](int64_t m, int64_t j, int g) {
        return expected_bf16(
            0, c.k,
            [&](int64_t k) {
              return static_cast<double>(to_float(a[static_cast<size_t>(m * a_stride + k)]));
            },
            [&](int64_t k) {
              const int64_t at =
                  c.b_is_kn ? (g * c.k + k) * b_stride + j : (g * c.n + j) * b_stride + k;
              return static_cast<double>(to_float(b[static_cast<size_t>(at)]));
            });
      },
      "bf16");
  return y;
}

constexpr GroupedGemmTile kTiles[] = {GroupedGemmTile::k64x256, GroupedGemmTile::k128x128,
                                      GroupedGemmTile::k256x128};

// Every tile gives the same bits, so one is compared with double and the others with it.
template <class Run>
void expect_all_tiles(RowCase c, const Run& run) {
  if (!has_card()) GTEST_SKIP() << "no card here";
  c.tile = kTiles[0];
  const auto first = run(c, true);
  for (const GroupedGemmTile tile : {kTiles[1], kTiles[2]}) {
    c.tile = tile;
    const auto other = run(c, false);
    if (!same_bits(first, other)) {
      run(c, true);  // says where
      ADD_FAILURE() << "tile " << static_cast<int>(tile) << " has other bits than the first";
    }
  }
}

const auto kFp8 = [](const RowCase& c, bool verify) { return run_fp8<bf16>(c, false, verify); };
const auto kFp8Adds = [](const RowCase& c, bool verify) { return run_fp8<float>(c, true, verify); };
const auto kBf16 = [](const RowCase& c, bool verify) { return run_bf16<bf16>(c, false, verify); };
const auto kBf16Adds = [](const RowCase& c, bool verify) {
  return run_bf16<float>(c, true, verify);
};

TEST(GroupedGemm, Fp8RowsOfAnyGroups) { expect_all_tiles({}, kFp8); }
TEST(GroupedGemm, Fp8AddsToF32) { expect_all_tiles({.n = 260, .k = 1168}, kFp8Adds); }
TEST(GroupedGemm, Fp8Masked) {
  expect_all_tiles({.masked = true, .group_rows = {0, 1, 64, 65, 100}}, kFp8);
}
TEST(GroupedGemm, Fp8ShortK) { expect_all_tiles({.n = 8, .k = 16}, kFp8); }
TEST(GroupedGemm, Fp8Plain) { expect_all_tiles({.n = 520, .k = 1024, .group_rows = {257}}, kFp8); }
TEST(GroupedGemm, Bf16RowsOfAnyGroups) { expect_all_tiles({.k = 392}, kBf16); }
TEST(GroupedGemm, Bf16AddsToF32) { expect_all_tiles({.n = 260, .k = 200}, kBf16Adds); }
TEST(GroupedGemm, Bf16Masked) {
  expect_all_tiles({.masked = true, .k = 264, .group_rows = {0, 1, 64, 65, 100}}, kBf16);
}
TEST(GroupedGemm, Bf16ShortK) { expect_all_tiles({.n = 8, .k = 8}, kBf16); }
TEST(GroupedGemm, Bf16WeightsAcross) { expect_all_tiles({.b_is_kn = true, .k = 392}, kBf16); }
TEST(GroupedGemm, Bf16WeightsAcrossAddToF32) {
  expect_all_tiles({.b_is_kn = true, .n = 328, .k = 72}, kBf16Adds);
}

template <class Run>
void expect_same_bits_alone(RowCase c, const Run& run) {
  if (!has_card()) GTEST_SKIP() << "no card here";
  c.tile = GroupedGemmTile::k256x128;
  const auto together = run(c, false);
  const auto stride = static_cast<size_t>(c.n + 8);
  for (const int row : {0, 1, 63, 130, 400, 748}) {
    for (const GroupedGemmTile tile : kTiles) {
      c.alone = row;
      c.tile = tile;
      const auto by_itself = run(c, false);
      const size_t at = static_cast<size_t>(row) * stride;
      EXPECT_EQ(std::memcmp(&by_itself[at], &together[at],
                            static_cast<size_t>(c.n) * sizeof(by_itself[0])),
                0)
          << "row " << row;
    }
  }
}

TEST(GroupedGemm, Fp8RowHasTheSameBitsAlone) { expect_same_bits_alone({}, kFp8); }
TEST(GroupedGemm, Bf16RowHasTheSameBitsAlone) { expect_same_bits_alone({.k = 392}, kBf16); }

TEST(GroupedGemm, RefusesWhatTheCopyEngineCannotTake) {
  cuda::GroupedGemmFp8 product;
  product.rows.rows = 64;
  product.n = 128;
  product.k = 136;  // not a multiple of 16 bytes
  EXPECT_FALSE(cuda::can_multiply(product));
  EXPECT_THROW(cuda::multiply(product, nullptr), ShapeError);
}

}  // namespace
}  // namespace hadal::test
