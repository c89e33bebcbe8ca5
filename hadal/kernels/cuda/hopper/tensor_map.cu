#include "hadal/kernels/cuda/hopper/tensor_map.h"

#include "hadal/kernels/cuda/check.h"

namespace hadal::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// Through the runtime, so that nothing links the driver's library: a build runs where there is none.
Encode encode_tiled() {
  static const Encode encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                           cudaEnableDefault, &result),
          "cuTensorMapEncodeTiled");
    if (result != cudaDriverEntryPointSuccess || found == nullptr) {
      throw Unavailable("cuda: the driver lacks cuTensorMapEncodeTiled");
    }
    return reinterpret_cast<Encode>(found);
  }();
  return encode;
}

CUtensorMapSwizzle swizzle_of(int bytes) {
  switch (bytes) {
    case 0:
      return CU_TENSOR_MAP_SWIZZLE_NONE;
    case 32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case 64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    default:
      return CU_TENSOR_MAP_SWIZZLE_128B;
  }
}

}  // namespace

CUtensorMap tensor_map(const void* data, const TensorMapShape& shape) {
  CUtensorMap map{};
  cuuint64_t extents[3], strides[3];
  cuuint32_t box[3], steps[3];
  for (int axis = 0; axis < shape.axes; ++axis) {
    extents[axis] = static_cast<cuuint64_t>(shape.extent[axis]);
    strides[axis] = static_cast<cuuint64_t>(shape.stride[axis] * shape.bytes);
    box[axis] = static_cast<cuuint32_t>(shape.box[axis]);
    steps[axis] = 1;
  }
  const CUresult result = encode_tiled()(
      &map, shape.type, static_cast<cuuint32_t>(shape.axes), const_cast<void*>(data), extents,
      strides + 1,  // the innermost is 1 by definition
      box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(shape.swizzle),
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Unavailable(concat("cuda: the driver refuses a tensor map of ", shape.extent[0], " by ",
                             shape.axes > 1 ? shape.extent[1] : 1, " elements: error ",
                             static_cast<int>(result)));
  }
  return map;
}

}  // namespace hadal::cuda
