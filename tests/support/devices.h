// tests/support/devices.h: what a test can compute on here.
//
// A build without CUDA tests the kernels of kernels/cuda/ on a card that the host stands in for
// (support/simt/); a build with CUDA on the card of the machine, if there is one. Either way kernels
// reach the memory of tests: the stand-in anyhow; for a real card support/locked_new.cc takes all that
// `new` gives from memory that both see, and CUDA_LAUNCH_BLOCKING=1 ends a kernel before the next line.
#pragma once

#include <string>
#include <vector>

#include "hadal/tensor/memory.h"

namespace hadal::test {

bool has_card();
// The reference, the CPU, and the card if there is one.
std::vector<Device> all_devices();
std::vector<Device> computing_devices();  // without the reference
std::string device_name(Device device);   // "cpu"

// Memory of the host that comes from `new`: for the operands that a test gives to every device.
Memory& memory_of_tests();

}  // namespace hadal::test
