#include "hadal/train/state_tensors.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <numeric>

#include "hadal/core/error.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

class StateTensorsTest : public testing::Test {
 protected:
  Tensor rows(int64_t first, int64_t last, int64_t columns) {
    Tensor t = Tensor::empty(arena_, DType::kF32, {last - first, columns});
    std::iota(t.flat<float>().begin(), t.flat<float>().end(), static_cast<float>(first * columns));
    return t;
  }
  void write(int rank, int n_ranks, const std::vector<std::pair<int64_t, int64_t>>& pieces) {
    std::vector<Tensor> tensors;
    std::vector<std::string> names;
    for (const auto& [first, last] : pieces) {
      tensors.push_back(rows(first, last, 3));
      names.push_back(piece_name("m.w", first, last, 10));
    }
    std::vector<std::pair<std::string, const Tensor*>> list;
    for (size_t i = 0; i < names.size(); ++i) list.emplace_back(names[i], &tensors[i]);
    write_safetensors(folder_.path() + "/" + state_file_name(rank, n_ranks), list);
  }
  std::string refused(int64_t first, int64_t last, const Shape& whole) {
    try {
      Tensor into = rows(first, last, 3);
      StateTensors(folder_.path()).read("m.w", into, first, whole);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "taken";
  }
  Arena arena_;
  test::TemporaryFolder folder_;
};

TEST_F(StateTensorsTest, RowsOfAnyPiecesComeTogether) {
  write(0, 2, {{0, 4}, {8, 10}});
  write(1, 2, {{4, 8}});
  const StateTensors stored(folder_.path());
  EXPECT_EQ(stored.n_tensors(), 1U);
  for (int64_t first = 0; first < 10; ++first) {
    for (int64_t last = first + 1; last <= 10; ++last) {
      Tensor into = Tensor::zeros(arena_, DType::kF32, {last - first, 3});
      stored.read("m.w", into, first, {10, 3});
      const Tensor expected = rows(first, last, 3);
      EXPECT_THAT(into.flat<float>(), testing::ElementsAreArray(expected.flat<float>()))
          << first << ".." << last;
    }
  }
}

TEST_F(StateTensorsTest, AWholeTensorGivesItsRowsToo) {
  write(0, 1, {{0, 10}});
  Tensor into = Tensor::zeros(arena_, DType::kF32, {2, 3});
  StateTensors(folder_.path()).read("m.w", into, 5, {10, 3});
  EXPECT_THAT(into.flat<float>(), testing::ElementsAre(15, 16, 17, 18, 19, 20));
}

TEST_F(StateTensorsTest, MissingRowsAreRefused) {
  write(0, 2, {{0, 4}});
  write(1, 2, {{6, 10}});
  EXPECT_EQ(refused(0, 4, {10, 3}), "taken");
  EXPECT_THAT(refused(3, 7, {10, 3}), testing::HasSubstr("tensor m.w does not fit this run"));
  EXPECT_THAT(refused(4, 6, {10, 3}), testing::HasSubstr("does not fit"));
  EXPECT_THAT(refused(8, 10, {9, 3}), testing::HasSubstr("expected F32 [9,3]"));
}

TEST_F(StateTensorsTest, AMissingFileOfSeveralIsNamed) {
  write(0, 2, {{0, 4}});
  EXPECT_THAT(refused(0, 4, {10, 3}), testing::HasSubstr("training_state-00002-of-00002"));
}

}  // namespace
}  // namespace hadal
