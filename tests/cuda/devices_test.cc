// The card itself.
#include <gtest/gtest.h>

#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda_devices.h"

namespace hadal::test {
namespace {

TEST(Devices, TheFirstIsAHopper) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no card here";
  const auto found = cuda::devices();
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].major, 9);
  EXPECT_GT(found[0].memory_bytes, int64_t{60} << 30);
}

}  // namespace
}  // namespace hadal::test
