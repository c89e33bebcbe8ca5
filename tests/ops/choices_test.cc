// Numbers of choices and numbers of rows, where some experts are elsewhere; the scales of Q8 and Q4.
#include "hadal/ops/permute.h"
#include "hadal/ops/quantize_q8_q4.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

class Choices : public ::testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Backends, Choices, ::testing::ValuesIn(all_devices()));

TEST_P(Choices, AChoiceWhoseExpertIsElsewhereIsZeroAndTouchesNoRow) {
  Machine machine(GetParam());
  const std::vector<int32_t> experts = {0, 2, 1, 3, 2, 3};  // three tokens, two choices each
  const ExpertRows here = ExpertRows::from({experts.data(), {3, 2}}, {2, 4});
  ASSERT_EQ(here.row_of, (std::vector<int32_t>{-1, 0, -1, 2, 1, 3}));
  const std::vector<float> gates = {1, 2, 3, 4, 5, 6};
  std::vector<float> rows(4), back(6, 7.0F);
  choices_to_rows(machine.ctx(), {rows.data(), {4}}, {gates.data(), {3, 2}}, here);
  EXPECT_EQ(rows, (std::vector<float>{2, 5, 4, 6}));
  rows_to_choices(machine.ctx(), {back.data(), {3, 2}}, {rows.data(), {4}}, here);
  EXPECT_EQ(back, (std::vector<float>{0, 2, 0, 4, 5, 6}));
}

}  // namespace
}  // namespace hadal::test
