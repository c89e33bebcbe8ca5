// How large the errors of q8 and q4 are: tests/model/convert_test.cc.
#include "hadal/ops/quantize_q8_q4.h"

#include "hadal/ops/quantize.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

// Values of the codes and scales as f32, for comparisons.
template <class Code>
std::vector<float> code_values(const Tensor& codes) {
  const auto flat = codes.flat<Code>();
  return {flat.begin(), flat.end()};
}
std::vector<float> scale_values(const Tensor& scales) {
  std::vector<float> result;
  for (const bf16 scale : scales.flat<bf16>()) result.push_back(to_float(scale));
  return result;
}

TEST(QuantizeQ8Q4, BackendsAgree) {
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          const Grid<float> w(e.rows, e.cols, e.pad, hard_values(e, 1));
          Grid<float> back8(e.rows, e.cols, 1), back4(e.rows, e.cols, e.pad);
          const Quantized q8 = quantize_q8(ctx, w.view()), q4 = quantize_q4(ctx, w.view());
          dequantize(ctx, back8.view(), q8);
          dequantize(ctx, back4.view(), q4);
          return {code_values<int8_t>(q8.codes),  scale_values(q8.scales), back8,
                  code_values<uint8_t>(q4.codes), scale_values(q4.scales), back4};
        },
        Tolerance::exact(), text(e));
  }
}

// docs/formats.md by hand: 127 and 7 steps of one; the odd column is followed by an 8.
TEST(QuantizeQ8Q4, CodesLieAsTheFormatSays) {
  Machine machine(Device::kCpu, 2);
  const Grid<float> w8(1, 3, 0, {127, -64, 0.4F}), w4(1, 3, 0, {7, -2, -7});
  const Quantized q8 = quantize_q8(machine.ctx(), w8.view());
  const Quantized q4 = quantize_q4(machine.ctx(), w4.view());
  EXPECT_EQ(code_values<int8_t>(q8.codes), (std::vector<float>{127, -64, 0}));
  EXPECT_EQ(scale_values(q8.scales), (std::vector<float>{1}));
  EXPECT_EQ(code_values<uint8_t>(q4.codes), (std::vector<float>{15 | 6 << 4, 1 | 8 << 4}));
  EXPECT_EQ(scale_values(q4.scales), (std::vector<float>{1}));
}

TEST(QuantizeQ8Q4, RefusesCodesAndScalesOfAnotherShape) {
  Machine machine(Device::kCpu);
  Context& ctx = machine.ctx();
  Tensor w = ctx.zeros({2, 33});
  const auto refused = [&](int64_t code_cols, int64_t scale_cols) {
    for (const DType dtype : {DType::kI8, DType::kU8}) {
      const Quantized q{ctx.zeros({2, code_cols}, dtype), ctx.zeros({2, scale_cols}, DType::kBF16),
                        kQuantBlocks, 2, 33};
      EXPECT_THROW(dequantize(ctx, w.mat(), q), ShapeError);
    }
  };
  refused(32, 2);  // neither 33 nor 17
  refused(33, 1);  // q8: one block of two
  refused(17, 3);  // q4: one block too many
}

}  // namespace
}  // namespace hadal::test
