// kernels/cuda/hopper/tensor_map.h: how the copy engine is told of a tensor. Made on the host, for each call:
// it is arithmetic without the device.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace hadal::cuda {

// Up to three axes, the contiguous one first.
struct TensorMapShape {
  CUtensorMapDataType type;
  int bytes;  // of an element
  int axes;   // 1 to 3
  int64_t extent[3];
  int64_t stride[3];  // elements; stride[0] is 1
  int box[3];         // extents of what one copy brings
  int swizzle;        // of 32, 64 or 128 bytes, as many as box[0] has; 0: none
};

// Throws Unavailable where the driver lacks the call or refuses the shape.
CUtensorMap tensor_map(const void* data, const TensorMapShape& shape);

}  // namespace hadal::cuda
