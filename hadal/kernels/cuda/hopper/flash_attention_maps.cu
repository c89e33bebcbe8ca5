#include "hadal/kernels/cuda/hopper/flash_attention_maps.h"

#include "hadal/kernels/cuda/check.h"

namespace hadal::cuda {
namespace flash {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// Nothing links the driver: a build machine has none.
Encode encode() {
  static const Encode function = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                           cudaEnableDefault, &result),
          "cuTensorMapEncodeTiled");
    if (result != cudaDriverEntryPointSuccess || found == nullptr)
      throw Unavailable("cuda: this driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<Encode>(found);
  }();
  return function;
}

}  // namespace

CUtensorMap box_map(const bf16* matrix, int64_t rows, int64_t columns, int box_rows,
                    int box_columns) {
  const cuuint64_t extents[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t row_bytes[] = {static_cast<cuuint64_t>(columns) * sizeof(bf16)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_columns),
                            static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[] = {1, 1};
  const CUtensorMapSwizzle swizzle = box_columns == 64   ? CU_TENSOR_MAP_SWIZZLE_128B
                                     : box_columns == 32 ? CU_TENSOR_MAP_SWIZZLE_64B
                                                         : CU_TENSOR_MAP_SWIZZLE_32B;
  CUtensorMap map{};
  const CUresult result =
      encode()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<bf16*>(matrix), extents,
               row_bytes, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw Unavailable(concat("cuda: a tensor map of [", rows, ", ", columns, "] in boxes of [",
                             box_rows, ", ", box_columns, "]: driver error ",
                             static_cast<int>(result)));
  return map;
}

void expect_supported(const FlashDims& dims) {
  if (!flash_attention_supported(dims))
    throw ShapeError(concat("attention: head widths ", dims.d_nope, "/", dims.d_rope, "/", dims.d_v,
                            " have no kernel; 128/64/128 and 64/32/64 have"));
}

}  // namespace flash

bool flash_attention_supported(const FlashDims& dims) {
  const auto are = [&](int64_t nope, int64_t rope, int64_t v) {
    return dims.d_nope == nope && dims.d_rope == rope && dims.d_v == v;
  };
  return are(128, 64, 128) || are(64, 32, 64);
}

}  // namespace hadal::cuda
