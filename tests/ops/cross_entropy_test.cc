#include "hadal/ops/cross_entropy.h"

#include "hadal/kernels/cross_entropy.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

std::vector<int32_t> some_targets(int64_t T, int64_t V) {
  std::vector<int32_t> targets;
  for (int64_t t = 0; t < T; ++t) {
    targets.push_back(t % 5 == 3 ? -1 : static_cast<int32_t>(t * 31 % V));
  }
  return targets;
}

TEST(CrossEntropy, Agrees) {
  for (const Extents& e : odd_extents()) {
    expect_backends_agree(
        [&](Context& ctx) -> Outputs {
          Grid<float> logits(e.rows, e.cols, e.pad, hard_values(e, 1));
          const std::vector<int32_t> targets = some_targets(e.rows, e.cols);
          std::vector<float> loss(static_cast<size_t>(e.rows)), loss_alone = loss;
          cross_entropy_forward(ctx, vector_view(loss_alone), logits.view(), targets);
          cross_entropy_forward_backward(ctx, vector_view(loss), logits.view(), targets, 0.25F);
          expect_close(loss, loss_alone, Tolerance::exact(), "the loss with and without gradient");
          return {{loss, 1}, logits};
        },
        Tolerance::for_sum(8), text(e));
  }
}

TEST(CrossEntropy, FullVocabularyOfDeepSeekV3) {
  const int64_t T = 3, V = 129280;
  expect_backends_agree(
      [&](Context& ctx) -> Outputs {
        Grid<float> logits(T, V, 0, random_values(T * V, 1, 3.0));
        std::vector<float> loss(T);
        cross_entropy_forward_backward(ctx, vector_view(loss), logits.view(),
                                       std::vector<int32_t>{129279, 0, 77}, 1.0F);
        return {{loss, 1}, logits};
      },
      Tolerance::for_sum(8), "129280 logits");
}

TEST(CrossEntropy, UniformLogitsCostLnV) {
  for (const Device device : all_devices()) {
    Machine machine(device);
    const Grid<float> logits(1, 4096, 0, std::vector<float>(4096, 55.0F));
    std::vector<float> loss(1);
    cross_entropy_forward(machine.ctx(), vector_view(loss), logits.view(),
                          std::vector<int32_t>{4095});
    EXPECT_FLOAT_EQ(loss[0], std::log(4096.0F));
  }
}

TEST(CrossEntropy, NanReachesTheLoss) {
  // A broken model must not look trained: NaN anywhere in the row, in a vector or in its tail.
  for (const size_t at : {size_t{0}, size_t{5}, size_t{40}, size_t{66}}) {
    for (const float broken : {NAN, INFINITY}) {
      for (const Device device : all_devices()) {
        Machine machine(device);
        std::vector<float> values = random_values(67, 1);
        values[at] = broken;
        Grid<float> logits(1, 67, 0, values);
        std::vector<float> loss(1);
        cross_entropy_forward_backward(machine.ctx(), vector_view(loss), logits.view(),
                                       std::vector<int32_t>{7}, 1.0F);
        EXPECT_FALSE(std::isfinite(loss[0])) << broken << " at " << at;
        EXPECT_TRUE(std::isnan(logits.values()[at]));
      }
    }
  }
}

TEST(CrossEntropy, GradientMatchesDifferences) {
  const int64_t T = 3, V = 8;
  const std::vector<int32_t> targets = {2, -1, 7};
  std::vector<double> logits = random_values<double>(T * V, 1, 2.0), loss(T);
  const auto total = [&] {
    reference::cross_entropy_forward<double>(vector_view(loss), {logits.data(), {T, V}}, targets);
    return 0.5 * (loss[0] + loss[1] + loss[2]);
  };
  std::vector<double> gradient = logits;
  reference::cross_entropy_forward_backward<double>(vector_view(loss), {gradient.data(), {T, V}},
                                                    targets, 0.5);
  expect_gradient(logits, total, gradient, "dlogits");
}

TEST(CrossEntropy, RefusesTargetsBeyondTheVocabulary) {
  Machine machine(Device::kCpu);
  const Grid<float> logits(1, 5);
  std::vector<float> loss(1);
  for (const int32_t target : {5, -2}) {
    EXPECT_THROW(cross_entropy_forward(machine.ctx(), vector_view(loss), logits.view(),
                                       std::vector<int32_t>{target}),
                 ShapeError);
  }
}

}  // namespace
}  // namespace hadal::test
