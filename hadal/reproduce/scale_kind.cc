// reproduce/scale_kind.cc: scales that are powers of two against F32 scales, in products and when tiles along
// the channels become tiles along the tokens (arXiv:2412.19437 sections 3.3.2 and 3.3.3).
#include "hadal/ops/gemm.h"
#include "hadal/reproduce/fp8_tiles.h"
#include "hadal/reproduce/linear_operands.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/rounded_tiles.h"

namespace hadal {
namespace {

constexpr const char* kPowers = "powers of two";
constexpr const char* kAnyScale = "F32";

TrainConfig scale_run(const Effort& effort, const std::string&) { return whole_nano(effort); }

Tensor product(Context& ctx, const Tensor& x, const Tensor& weight) {
  Tensor y = ctx.empty({x.dim(0), weight.dim(0)});
  gemm_nt(ctx, y.mat(), x.mat(), WeightView(weight));
  return y;
}

double changed_share(const Tensor& a, const Tensor& b) {
  const Tensor a_here = a.to_host(), b_here = b.to_host();
  const auto before = a_here.flat<float>(), after = b_here.flat<float>();
  int64_t changed = 0;
  for (size_t i = 0; i < before.size(); ++i) changed += before[i] != after[i];
  return 100.0 * static_cast<double>(changed) / static_cast<double>(before.size());
}

void measure_scales(Context& ctx, const Trial& trial, Outcome& outcome) {
  const bool power_of_two = trial.variant == kPowers;
  double fprop = 0.0, retiled_error = 0.0, direct_error = 0.0, changed = 0.0;
  const std::vector<LinearOperands> all = linear_operands(ctx, *trial.run);
  for (const LinearOperands& each : all) {
    const auto stored = [&](const Tensor& x, Tiling tiling) {
      return through_e4m3(ctx, x, tiling, power_of_two);
    };
    const Tensor x = stored(each.x, kRowTiles);
    fprop += relative_error(product(ctx, x, stored(each.weight, kWeightBlocks)),
                            product(ctx, each.x, each.weight));
    // The weight gradient's operand: from the codes that forward kept, or from what they were made of.
    const Tensor retiled = stored(x, kColumnTiles);
    changed += changed_share(x, retiled);
    retiled_error += relative_error(retiled, each.x);
    direct_error += relative_error(stored(each.x, kColumnTiles), each.x);
  }
  const auto n = static_cast<double>(all.size());
  outcome.figures["fprop_error"] = 100.0 * fprop / n;
  outcome.figures["changed"] = changed / n;
  outcome.figures["retiled_error"] = 100.0 * retiled_error / n;
  outcome.figures["direct_error"] = 100.0 * direct_error / n;
}

}  // namespace

Experiment make_scale_kind() {
  Experiment e;
  e.name = "scale-kind";
  e.claim =
      "Scales that are powers of two cost next to nothing in a product, and cached codes can be "
      "re-tiled for the weight gradient without a second rounding.";
  e.reported =
      "powers of two for the inputs of attention's output projection and of the experts, to add "
      "no quantisation error (section 3.3.3); no figure";
  e.varied =
      "the kind of all scales, on activations and weights of a trained nano model; sums in F32";
  e.limits =
      "Re-tiling still changes values that are more than 2^15 below the largest of their new tile";
  e.variants = {kPowers, kAnyScale};
  e.figures = {{"fprop_error", "relative error of y = x W^T with both in FP8, %"},
               {"changed", "values of x that re-tiling changes, %"},
               {"retiled_error", "relative error of x after re-tiling, %"},
               {"direct_error", "relative error of x quantised along the tokens at once, %"}};
  e.claims = {{.text = "re-tiling changes fewer values, a hundredth or less",
               .reported = "no additional error",
               .figure = "changed",
               .variant = kPowers,
               .baseline = kAnyScale,
               .factor = 100.0},
              {.text = "x is closer to what it was after re-tiling",
               .reported = "no additional error",
               .figure = "retiled_error",
               .variant = kPowers,
               .baseline = kAnyScale}};
  e.default_tokens = 300'000;
  e.training = scale_run;
  e.measure = measure_scales;
  return e;
}

}  // namespace hadal
