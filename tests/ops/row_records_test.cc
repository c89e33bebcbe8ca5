#include "hadal/ops/row_records.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "tests/support/compare.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

struct Records : ::testing::Test {
  Tensor counting(DType dtype, Tensor::Shape shape) {
    Tensor x = Tensor::empty(arena, dtype, std::move(shape));
    auto* bytes = static_cast<uint8_t*>(x.raw());
    for (int64_t i = 0; i < x.bytes(); ++i) bytes[i] = static_cast<uint8_t>(++last);
    return x;
  }
  ThreadPool pool{2};
  Arena arena;
  Context ctx{pool, arena};
  int last = 0;
};

std::vector<uint8_t> bytes_of(const Tensor& x, int64_t begin, int64_t n) {
  const auto* bytes = static_cast<const uint8_t*>(x.raw()) + begin;
  return {bytes, bytes + n};
}

TEST_F(Records, RowsOfAllPartsStandSideBySideAndComeBack) {
  std::vector<Tensor> parts;
  parts.push_back(counting(DType::kF8E4M3, {4, 5}));
  parts.push_back(counting(DType::kF32, {4}));
  parts.push_back(counting(DType::kBF16, {4, 3}));
  const std::vector<int32_t> rows = {3, 0, 3};
  const Tensor records = packed_rows(ctx, parts, rows);
  ASSERT_EQ(records.shape(), (Tensor::Shape{3, 15}));
  for (int64_t r = 0; r < 3; ++r) {
    const int64_t row = rows[static_cast<size_t>(r)];
    EXPECT_EQ(bytes_of(records, 15 * r, 5), bytes_of(parts[0], 5 * row, 5));
    EXPECT_EQ(bytes_of(records, 15 * r + 5, 4), bytes_of(parts[1], 4 * row, 4));
    EXPECT_EQ(bytes_of(records, 15 * r + 9, 6), bytes_of(parts[2], 6 * row, 6));
  }
  std::vector<Tensor> back;
  back.push_back(ctx.zeros({3, 5}, DType::kF8E4M3));
  back.push_back(ctx.zeros({3}));
  unpack_rows(ctx, back, records, std::array<int32_t, 3>{1, 2, 0});
  EXPECT_EQ(bytes_of(back[0], 5, 5), bytes_of(parts[0], 15, 5));
  EXPECT_EQ(bytes_of(back[0], 10, 5), bytes_of(parts[0], 0, 5));
  EXPECT_EQ(bytes_of(back[1], 0, 4), bytes_of(parts[1], 12, 4));
}

TEST_F(Records, NoRows) {
  std::vector<Tensor> parts;
  parts.push_back(ctx.empty({0, 5}));
  EXPECT_EQ(packed_rows(ctx, parts, {}).shape(), (Tensor::Shape{0, 20}));
  unpack_rows(ctx, parts, ctx.empty({0, 20}, DType::kU8), {});
}

TEST_F(Records, RowsThatAreNotThereAreRefused) {
  std::vector<Tensor> parts;
  parts.push_back(ctx.zeros({2, 5}));
  const std::array<int32_t, 1> beyond{2}, first{0};
  expect_refused<ShapeError>([&] { packed_rows(ctx, parts, beyond); }, "got row 2");
  expect_refused<ShapeError>(
      [&] {
        unpack_rows(ctx, parts, ctx.empty({1, 19}, DType::kU8), first);
      },
      "[1,20]");
}

}  // namespace
}  // namespace hadal::test
