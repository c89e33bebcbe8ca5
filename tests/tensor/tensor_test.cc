#include "hadal/tensor/tensor.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/refusal.h"

namespace hadal {
namespace {

TEST(Arena, GivesFreedBlocksOutAgain) {
  Arena arena;
  const Arena::Block first = arena.take(1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first.data) % 64, 0U);
  arena.give_back(first);
  EXPECT_EQ(arena.take(1000).data, first.data);
  EXPECT_EQ(arena.bytes_reserved(), 1024);
  // A much smaller request must not occupy the large block.
  arena.give_back(first);
  const Arena::Block small = arena.take(100);
  EXPECT_NE(small.data, first.data);
  EXPECT_EQ(arena.bytes_in_use(), 256);
  EXPECT_EQ(arena.bytes_reserved(), 1024 + 256);
  arena.trim();
  EXPECT_EQ(arena.bytes_reserved(), 256);
  arena.give_back(small);
  EXPECT_EQ(arena.bytes_in_use(), 0);
  EXPECT_EQ(arena.peak_bytes_in_use(), 1024);
}

TEST(Arena, NothingIsStillABlock) {
  Arena arena;
  const Arena::Block block = arena.take(0);
  EXPECT_NE(block.data, nullptr);
  arena.give_back(block);
}

TEST(Arena, TakesTheLastOfEqualBlocksFirst) {
  Arena arena;
  const Arena::Block first = arena.take(1000), second = arena.take(1000);
  arena.give_back(first);
  arena.give_back(second);
  EXPECT_EQ(arena.take(1000).data, second.data);
  EXPECT_EQ(arena.take(1000).data, first.data);
  arena.give_back(first);
  arena.give_back(second);
}

TEST(Tensor, ReturnsItsMemoryToTheArenaAfterTheLastOwner) {
  Arena arena;
  {
    Tensor a = Tensor::zeros(arena, DType::kF32, {4, 8});
    EXPECT_EQ(arena.bytes_in_use(), 256);
    Tensor b = a.share();
    a = Tensor();
    EXPECT_EQ(arena.bytes_in_use(), 256);
    EXPECT_EQ(b.flat<float>()[31], 0.0F);
  }
  EXPECT_EQ(arena.bytes_in_use(), 0);
}

TEST(Shape, HasUpToEightAxes) {
  const Shape scalar, four{1, 2, 3, 4};
  EXPECT_TRUE(scalar.empty());
  EXPECT_EQ(four.size(), 4U);
  EXPECT_EQ(four.back(), 4);
  EXPECT_EQ(four, Shape(std::span<const int64_t>(four)));
  EXPECT_FALSE(four == Shape({1, 2, 3}));
  test::expect_refused<ShapeError>(
      [] {
        Shape({1, 2, 3, 4, 5, 6, 7, 8, 9});
      },
      "tensor: too many axes (found 9");
}

TEST(Tensor, ViewsCheckTypeAndRank) {
  Arena arena;
  Tensor t = Tensor::zeros(arena, DType::kF32, {2, 3});
  t.mat()(1, 2) = 5.0F;
  EXPECT_EQ(std::as_const(t).mat().row(1)[2], 5.0F);
  EXPECT_EQ(t.size(), 6);
  EXPECT_EQ(t.bytes(), 24);
  test::expect_refused<ShapeError>([&] { t.vec(); }, "tensor: shape [2,3] has not 1 axes");
  test::expect_refused<ShapeError>([&] { t.view<int32_t, 2>(); },
                                   "tensor: elements are F32, asked for I32");
  EXPECT_EQ((t.reshaped({3, 2}).view<float, 2>()(2, 1)), 5.0F);
  test::expect_refused<ShapeError>(
      [&] {
        t.reshaped({4, 2});
      },
      "tensor: cannot see [2,3] as [4,2]");
}

TEST(Tensor, BorrowedElementsCannotBeWritten) {
  const std::array<float, 3> elements = {1, 2, 3};
  Tensor t = Tensor::borrowed(DType::kF32, {3}, elements.data(), nullptr);
  EXPECT_EQ(std::as_const(t).vec()(1), 2.0F);
  const char* read_only = "tensor: borrowed elements are read-only";
  test::expect_refused<ShapeError>([&] { t.vec(); }, read_only);
  test::expect_refused<ShapeError>([&] { t.share().flat<float>(); }, read_only);
  Arena arena;
  Tensor own = t.clone(arena);
  own.vec()(1) = 7.0F;
  EXPECT_EQ(elements[1], 2.0F);
}

TEST(Tensor, BorrowingKeepsTheOwnerAlive) {
  auto owner = std::make_shared<std::array<float, 2>>();
  std::weak_ptr<std::array<float, 2>> watch = owner;
  {
    Tensor t = Tensor::borrowed(DType::kF32, {2}, owner->data(), owner);
    owner.reset();
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TEST(Tensor, ImpossibleShapesAreErrors) {
  Arena arena;
  for (const auto& [dtype, shape] : {std::pair{DType::kF32, Tensor::Shape{-1, 2}},
                                     {DType::kF32, {INT64_MAX, 2}},
                                     {DType::kF64, {INT64_MAX / 4}}}) {
    test::expect_refused<ShapeError>(
        [&, type = dtype, &extents = shape] { Tensor::empty(arena, type, extents); },
        "tensor: impossible shape " + shape_text(shape));
  }
  EXPECT_EQ(Tensor::zeros(arena, DType::kF32, {0, 5}).size(), 0);
}

TEST(View, StridesRowsAndColumns) {
  std::array<float, 12> memory;
  for (size_t i = 0; i < 12; ++i) memory[i] = static_cast<float>(i);
  const View<float, 2> all(memory.data(), {3, 4});
  EXPECT_TRUE(all.is_contiguous());
  const View<float, 2> part = all.rows(1, 3).columns(1, 3);
  EXPECT_EQ(part.shape(), (std::array<int64_t, 2>{2, 2}));
  EXPECT_EQ(part(0, 0), 5.0F);
  EXPECT_EQ(part(1, 1), 10.0F);
  EXPECT_FALSE(part.is_contiguous());
  EXPECT_EQ(part.row(1)[0], 9.0F);
}

TEST(View, ExpectShapeSaysWhatItGotAndWanted) {
  std::array<float, 6> memory{};
  const View<float, 2> view(memory.data(), {2, 3});
  expect_shape(view, {2, 3}, "x");
  try {
    expect_shape(view, {3, 2}, "rmsnorm y");
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "rmsnorm y: got [2,3], want [3,2]");
  }
}

}  // namespace
}  // namespace hadal
