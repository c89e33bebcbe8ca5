// kernels/no_cuda: in a build without a CUDA kernel for an op, the op says so and changes nothing.
#include <gmock/gmock.h>

#include "hadal/ops/elementwise.h"
#include "hadal/ops/memory_of.h"
#include "hadal/ops/rmsnorm.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(NoCuda, AnOpWithoutAKernelNamesItself) {
  Machine machine(Device::kCuda);
  std::vector<float> values = {1, 2, 3};
  EXPECT_THAT([&] { scale(machine.ctx(), values, 2.0F); },
              ThrowsMessage<Unavailable>(
                  "device: this build has no CUDA kernel for scale (found cuda, expected cpu); use "
                  "device cpu"));
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3}));
  EXPECT_THAT([&] { return sum_of_squares(machine.ctx(), values); },
              ThrowsMessage<Unavailable>(HasSubstr("sum_of_squares")));
}

TEST(NoCuda, EveryDeviceHasItsMemoryOrSaysWhyNot) {
  EXPECT_EQ(&memory_of(Device::kReference), &host_memory());
  EXPECT_EQ(&memory_of(Device::kCpu), &host_memory());
  try {
    EXPECT_FALSE(memory_of(Device::kCuda).on_host());
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), testing::AnyOf(HasSubstr("not in this build"), HasSubstr("driver"),
                                             HasSubstr("no GPU"), HasSubstr("no CUDA-capable")));
  }
}

TEST(NoCuda, ShapesAreCheckedFirst) {
  Machine machine(Device::kCuda);
  Grid<float> x(2, 3), y(2, 4);
  std::vector<float> w(3), r(2);
  EXPECT_THROW(
      rmsnorm_forward(machine.ctx(), y.view(), vector_view(r), x.view(), vector_view(w), 1e-6F),
      ShapeError);
}

}  // namespace
}  // namespace hadal::test
