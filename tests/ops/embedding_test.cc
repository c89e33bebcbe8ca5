#include "hadal/ops/embedding.h"

#include "hadal/kernels/embedding.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

std::vector<int32_t> some_ids(int64_t T, int64_t vocab) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < T; ++t)
    ids.push_back(static_cast<int32_t>(t * t % vocab));  // with repeats
  return ids;
}

TEST(Embedding, Agrees) {
  const int64_t V = 11;
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          const std::vector<int32_t> ids = some_ids(e.rows, V);
          const Grid<float> w(V, e.cols, e.pad, random_values(V * e.cols, 1));
          const Grid<float> dx(e.rows, e.cols, e.pad, random_values(e.rows * e.cols, 2));
          Grid<float> x(e.rows, e.cols, 2), dw(V, e.cols, 3, random_values(V * e.cols, 3));
          embedding_forward(ctx, x.view(), w.view(), ids);
          embedding_backward_weight(ctx, dw.view(), dx.view(), ids);
          return {x, dw};
        },
        Tolerance::exact(), text(e));
  }
}

TEST(Embedding, ReadsHalfPrecisionTables) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    for (const int64_t cols : {5, 8}) {
      expect_backends_agree(
          [&](Context& ctx) -> Outputs {
            Tensor w = ctx.empty({3, cols}, dtype);
            std::vector<float> want;
            for (int64_t i = 0; i < 3 * cols; ++i) {
              const float value = 0.25F * static_cast<float>(i) - 1.0F;  // exact in both formats
              if (dtype == DType::kBF16) {
                w.flat<bf16>()[static_cast<size_t>(i)] = to_bf16(value);
              } else {
                w.flat<f16>()[static_cast<size_t>(i)] = to_f16(value);
              }
              if (i >= 2 * cols) want.push_back(value);
            }
            Grid<float> x(1, cols);
            embedding_forward(ctx, x.view(), WeightView(w), std::vector<int32_t>{2});
            expect_close(x.values(), want, Tolerance::exact(), "row 2");
            return {x};
          },
          Tolerance::exact(), std::string(dtype_name(dtype)));
    }
  }
}

TEST(Embedding, GradientMatchesDifferences) {
  const int64_t V = 4, D = 3, T = 5;
  const std::vector<int32_t> ids = {1, 3, 1, 0, 1};
  std::vector<double> w = random_values<double>(V * D, 1);
  const std::vector<double> dx = random_values<double>(T * D, 2);
  const auto loss = [&] {
    double sum = 0;
    for (size_t t = 0; t < 5; ++t) {
      for (size_t i = 0; i < 3; ++i) sum += w[static_cast<size_t>(ids[t]) * 3 + i] * dx[t * 3 + i];
    }
    return sum;
  };
  std::vector<double> dw(w.size());
  reference::embedding_backward_weight<double>({dw.data(), {V, D}}, {dx.data(), {T, D}}, ids);
  expect_gradient(w, loss, dw, "dw");
}

TEST(Embedding, RefusesIdsBeyondTheTable) {
  Machine machine(Device::kCpu);
  Grid<float> x(1, 3), w(4, 3);
  for (const int32_t id : {4, -1}) {
    EXPECT_THROW(embedding_forward(machine.ctx(), x.view(), w.view(), std::vector<int32_t>{id}),
                 ShapeError);
    EXPECT_THROW(
        embedding_backward_weight(machine.ctx(), w.view(), x.view(), std::vector<int32_t>{id}),
        ShapeError);
  }
}

}  // namespace
}  // namespace hadal::test
