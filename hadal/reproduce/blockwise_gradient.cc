// reproduce/blockwise_gradient.cc: activation gradients with a scale per 1x128 tile against one per 128x128
// block (arXiv:2412.19437 appendix B.2).
#include <algorithm>
#include <cmath>

#include "hadal/reproduce/fp8_tiles.h"
#include "hadal/reproduce/linear_operands.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/rounded_tiles.h"

namespace hadal {
namespace {

constexpr const char* kRows = "1x128 tiles";
constexpr const char* kBlocks = "128x128 blocks";

TrainConfig gradient_run(const Effort& effort, const std::string&) { return whole_nano(effort); }

// % of the values that are not zero and become zero.
double lost_values(const Tensor& rounded, const Tensor& exact) {
  const Tensor rounded_here = rounded.to_host(), exact_here = exact.to_host();
  const auto a = rounded_here.flat<float>(), b = exact_here.flat<float>();
  int64_t lost = 0, all = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    all += b[i] != 0.0F;
    lost += b[i] != 0.0F && a[i] == 0.0F;
  }
  return all > 0 ? 100.0 * static_cast<double>(lost) / static_cast<double>(all) : 0.0;
}

void measure_blockwise(Context& ctx, const Trial& trial, Outcome& outcome) {
  const Tiling tiling = trial.variant == kRows ? kRowTiles : kWeightBlocks;
  double error = 0.0, row_error = 0.0, lost = 0.0, worst = 0.0;
  const std::vector<LinearOperands> all = linear_operands(ctx, *trial.run);
  for (const LinearOperands& each : all) {
    const Tensor dy = through_e4m3(ctx, each.dy, tiling, /*power_of_two=*/true);
    const Tensor exact = input_gradient(ctx, each.dy, each.weight);
    const Tensor rounded = input_gradient(ctx, dy, each.weight);
    error += 100.0 * relative_error(rounded, exact);
    lost += lost_values(dy, each.dy);
    double sum = 0.0, n = 0.0;
    for (const double token : relative_row_errors(rounded, exact)) {
      if (token < 0.0) continue;  // a position without a target has no gradient in the last layer
      sum += token;
      n += 1.0;
      worst = std::max(worst, 100.0 * token);
    }
    row_error += n > 0.0 ? 100.0 * sum / n : 0.0;
  }
  const auto n_linears = static_cast<double>(all.size());
  outcome.figures["dgrad_error"] = error / n_linears;
  outcome.figures["token_error"] = row_error / n_linears;
  outcome.figures["worst_token"] = worst;
  outcome.figures["lost_values"] = lost / n_linears;
}

}  // namespace

Experiment make_blockwise_gradient() {
  Experiment e;
  e.name = "blockwise-gradient";
  e.claim =
      "Gradients of activations differ from token to token too much to share a scale: with one "
      "per 128x128 block training diverges, with one per token and 128 channels it does not.";
  e.reported =
      "a model of about 16B parameters diverged after about 300B tokens with 128x128 blocks for "
      "the gradients of activations (appendix B.2)";
  e.varied =
      "the tiles of dy in dx = dy W, on the activation gradients of a trained nano model; W and "
      "all sums in F32, so that dy's rounding alone is seen";
  e.limits =
      "The error of one product, not a divergence: that took the report 300B tokens. Blocks hurt "
      "where the tokens of a block differ by more than the range of E4M3, about 2^15 for normal "
      "numbers";
  e.variants = {kRows, kBlocks};
  e.figures = {{"dgrad_error", "relative error of dx, mean of the linears, %"},
               {"token_error", "relative error of dx of a token, mean of tokens and linears, %"},
               {"worst_token", "the same of the worst token, %"},
               {"lost_values", "values of dy that become zero, %"}};
  e.claims = {{.text = "tiles lose less of a token's gradient than blocks",
               .reported = "diverges with blocks",
               .figure = "token_error",
               .variant = kRows,
               .baseline = kBlocks},
              {.text = "the worst token most of all",
               .reported = "the same",
               .figure = "worst_token",
               .variant = kRows,
               .baseline = kBlocks},
              {.text = "fewer values become zero",
               .reported = "the same",
               .figure = "lost_values",
               .variant = kRows,
               .baseline = kBlocks}};
  e.default_tokens = 300'000;
  e.training = gradient_run;
  e.measure = measure_blockwise;
  return e;
}

}  // namespace hadal
