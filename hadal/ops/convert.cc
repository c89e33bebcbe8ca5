#include "hadal/ops/convert.h"

#include "hadal/kernels/convert.h"

namespace hadal {
namespace {

void expect_convertible(const Tensor& tensor, const char* what) {
  const DType dtype = tensor.dtype();
  if (dtype != DType::kF32 && dtype != DType::kBF16 && dtype != DType::kF16) {
    throw ShapeError(
        concat("convert ", what, ": got ", dtype_name(dtype), ", want F32, BF16 or F16"));
  }
}

}  // namespace

void convert(Context& ctx, Tensor& to, const Tensor& from) {
  expect_convertible(to, "to");
  expect_convertible(from, "from");
  if (from.shape() != to.shape()) {
    throw ShapeError(
        concat("convert from: got ", shape_text(from.shape()), ", want ", shape_text(to.shape())));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::convert(to, from);
    case Device::kCpu:
      return cpu::convert(ctx.pool, to, from);
    case Device::kCuda:
      return cuda::convert(*ctx.stream, to, from);
  }
}

}  // namespace hadal
