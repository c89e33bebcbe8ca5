#include "hadal/ops/convert.h"

#include <cstring>

#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

const DType kFormats[] = {DType::kF32, DType::kBF16, DType::kF16};

// One value by the bit-exact functions of tensor/dtype.h.
void put(Tensor& tensor, size_t i, float value) {
  if (tensor.dtype() == DType::kF32) tensor.flat<float>()[i] = value;
  if (tensor.dtype() == DType::kBF16) tensor.flat<bf16>()[i] = to_bf16(value);
  if (tensor.dtype() == DType::kF16) tensor.flat<f16>()[i] = to_f16(value);
}
float get(const Tensor& tensor, size_t i) {
  if (tensor.dtype() == DType::kBF16) return to_float(tensor.flat<bf16>()[i]);
  if (tensor.dtype() == DType::kF16) return to_float(tensor.flat<f16>()[i]);
  return tensor.flat<float>()[i];
}
bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0);
}

TEST(Convert, EveryPairIsOneRounding) {
  for (const Tensor::Shape& shape : {Tensor::Shape{0, 5}, {1}, {7, 1}, {3, 33}, {301, 100}}) {
    for (const DType source : kFormats) {
      for (const DType target : kFormats) {
        for (const Device device : all_devices()) {
          Machine machine(device, 4);
          Context& ctx = machine.ctx();
          Tensor from = ctx.empty(shape, source), to = ctx.empty(shape, target),
                 want = ctx.empty(shape, target);
          std::vector<float> values = random_values(from.size(), 1, 30.0);
          for (size_t i = 0; i < values.size(); ++i) {
            // Ties, subnormals of F16, overflow of F16, and what is no number.
            const float hard[] = {1.00390625F, 3e-7F, 1e6F, -0.0F, INFINITY, NAN};
            put(from, i, i % 3 == 0 ? hard[i / 3 % 6] : values[i]);
            put(want, i, get(from, i));
          }
          convert(ctx, to, from);
          EXPECT_TRUE(same_bits(to, want))
              << dtype_name(source) << " to " << dtype_name(target) << " " << shape_text(shape);
        }
      }
    }
  }
}

TEST(Convert, TheSameFormatKeepsASignallingNaN) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    Tensor from = machine.ctx().empty({1}, DType::kBF16),
           to = machine.ctx().empty({1}, DType::kBF16);
    from.flat<bf16>()[0] = {0x7F81};
    convert(machine.ctx(), to, from);
    EXPECT_EQ(to.flat<bf16>()[0].bits, 0x7F81);
  }
}

TEST(Convert, RefusesOtherTypesAndShapes) {
  Machine machine(Device::kCpu);
  Context& ctx = machine.ctx();
  Tensor x = ctx.zeros({2, 3}), codes = ctx.zeros({2, 3}, DType::kI8), turned = ctx.zeros({3, 2});
  EXPECT_THROW(convert(ctx, x, codes), ShapeError);
  EXPECT_THROW(convert(ctx, codes, x), ShapeError);
  EXPECT_THROW(convert(ctx, x, turned), ShapeError);
}

}  // namespace
}  // namespace hadal::test
