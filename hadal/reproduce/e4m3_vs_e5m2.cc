// reproduce/e4m3_vs_e5m2.cc: E4M3 for gradients too, where others take E5M2 (arXiv:2412.19437 section 3.3.2).
#include "hadal/reproduce/fp8_tiles.h"
#include "hadal/reproduce/linear_operands.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/rounded_tiles.h"

namespace hadal {
namespace {

constexpr const char* kE4M3Tiles = "E4M3, 1x128 tiles";
constexpr const char* kE5M2Tiles = "E5M2, 1x128 tiles";
constexpr const char* kE5M2Tensor = "E5M2, one scale per tensor";

TrainConfig format_run(const Effort& effort, const std::string&) { return whole_nano(effort); }

// dy as the variant stores it, for the product whose inner axis has these tiles.
Tensor stored_gradient(Context& ctx, const Tensor& dy, const std::string& variant, Tiling tiles) {
  if (variant == kE4M3Tiles) return through_e4m3(ctx, dy, tiles, /*power_of_two=*/false);
  const Tiling tiling = variant == kE5M2Tiles ? tiles : Tiling{dy.dim(0), dy.dim(1)};
  return rounded_in_tiles(ctx, dy, tiling, kE5M2);
}

void measure_formats(Context& ctx, const Trial& trial, Outcome& outcome) {
  double dgrad = 0.0, wgrad = 0.0;
  const std::vector<LinearOperands> all = linear_operands(ctx, *trial.run);
  for (const LinearOperands& each : all) {
    const auto stored = [&](Tiling tiles) {
      return stored_gradient(ctx, each.dy, trial.variant, tiles);
    };
    dgrad += relative_error(input_gradient(ctx, stored(kRowTiles), each.weight),
                            input_gradient(ctx, each.dy, each.weight));
    wgrad += relative_error(weight_gradient(ctx, stored(kColumnTiles), each.x),
                            weight_gradient(ctx, each.dy, each.x));
  }
  outcome.figures["dgrad_error"] = 100.0 * dgrad / static_cast<double>(all.size());
  outcome.figures["wgrad_error"] = 100.0 * wgrad / static_cast<double>(all.size());
}

}  // namespace

Experiment make_e4m3_vs_e5m2() {
  Experiment e;
  e.name = "e4m3-vs-e5m2-backward";
  e.claim =
      "With a scale for every 128 values the range of E5M2 is not needed: E4M3, with a bit more "
      "of mantissa, is the better format for gradients too.";
  e.reported = "E4M3 is used for all tensors (section 3.3.2); no figure";
  e.varied =
      "the format of dy in dx = dy W and dW = dy^T x, on the activation gradients of a trained "
      "nano model; x, W and all sums in F32; F32 scales";
  e.limits = "The error of one product, not of a training run";
  e.variants = {kE4M3Tiles, kE5M2Tiles, kE5M2Tensor};
  e.figures = {{"dgrad_error", "relative error of dx, mean of the linears, %"},
               {"wgrad_error", "relative error of dW, mean of the linears, %"}};
  e.claims = {{.text = "E4M3 tiles give better input gradients than E5M2 tiles",
               .reported = "no figure",
               .figure = "dgrad_error",
               .variant = kE4M3Tiles,
               .baseline = kE5M2Tiles},
              {.text = "and better weight gradients",
               .reported = "no figure",
               .figure = "wgrad_error",
               .variant = kE4M3Tiles,
               .baseline = kE5M2Tiles},
              {.text = "and than E5M2 with one scale, as FP8 training had it before",
               .reported = "no figure",
               .figure = "dgrad_error",
               .variant = kE4M3Tiles,
               .baseline = kE5M2Tensor}};
  e.default_tokens = 300'000;
  e.training = format_run;
  e.measure = measure_formats;
  return e;
}

}  // namespace hadal
