// Without CUDA in the build, or without a card, whoever asks for one is told so.
#include <gmock/gmock.h>

#include "hadal/ops/compute_device.h"

namespace hadal::test {
namespace {

using testing::HasSubstr;

TEST(NoCuda, ADeviceIsThereOrSaysWhyNot) {
  EXPECT_EQ(&ComputeDevice(Device::kCpu).memory(), &host_memory());
  try {
    EXPECT_FALSE(ComputeDevice(Device::kCuda).memory().on_host());
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), testing::AnyOf(HasSubstr("on the CPU only"), HasSubstr("driver"),
                                             HasSubstr("no GPU"), HasSubstr("no CUDA-capable")));
  }
}

}  // namespace
}  // namespace hadal::test
