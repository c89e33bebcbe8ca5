// reproduce/zero_and_tiny.cc: tiles of zeros, tiles of gradients near 1e-8, a tile with one value of 1e4,
// and what each does to its neighbours (arXiv:2412.19437 section 3.3.2).
#include <algorithm>
#include <cmath>

#include "hadal/core/rng.h"
#include "hadal/ops/quantize.h"
#include "hadal/reproduce/fp8_tiles.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/rounded_tiles.h"

namespace hadal {
namespace {

constexpr const char* kTiles = "1x128 tiles";
constexpr const char* kFloor = "1x128 tiles, amax at least 1e-4";
constexpr const char* kOneScale = "one scale per tensor";

constexpr int64_t kRows = 256, kColumns = 4 * kFp8Tile;
// What the first tile of a row is; its other tiles are normal.
enum class FirstTile : int64_t { kZeros, kTiny, kOutlier, kNormal };
FirstTile first_tile(int64_t row) { return static_cast<FirstTile>(row % 4); }

Tensor hard_tensor(Context& ctx, int64_t seed, double outlier) {
  Rng rng(static_cast<uint64_t>(seed));
  std::vector<float> numbers(static_cast<size_t>(kRows * kColumns));
  const View<float, 2> values(numbers.data(), {kRows, kColumns});
  for (int64_t t = 0; t < kRows; ++t) {
    for (int64_t k = 0; k < kColumns; ++k) {
      double value = rng.normal();
      if (k < kFp8Tile && first_tile(t) == FirstTile::kZeros) value = 0.0;
      if (k < kFp8Tile && first_tile(t) == FirstTile::kTiny)
        value = std::clamp(value * 3e-9, -1e-8, 1e-8);
      values(t, k) = static_cast<float>(value);
    }
    if (first_tile(t) == FirstTile::kOutlier) {
      values(t, t % kFp8Tile) = static_cast<float>(outlier);
    }
  }
  Tensor x = ctx.empty({kRows, kColumns});
  x.read_from(numbers.data());
  return x;
}

// What comes back of x, on the host.
Tensor stored(Context& ctx, const Tensor& x, const std::string& variant) {
  if (variant == kOneScale) {
    return rounded_in_tiles(ctx, x, {kRows, kColumns}, kE4M3).to_host();
  }
  const bool floor = variant == kFloor;
  return dequantized(ctx, e4m3_tiles(ctx, x, kRowTiles, /*power_of_two=*/true, floor)).to_host();
}

// Relative error of the columns [begin, end) of the rows of one kind.
double error_of(const Tensor& got, const Tensor& want, FirstTile kind, int64_t begin, int64_t end) {
  double error = 0.0, size = 0.0;
  for (int64_t t = static_cast<int64_t>(kind); t < kRows; t += 4) {
    for (int64_t k = begin; k < end; ++k) {
      const double exact = want.mat()(t, k), difference = got.mat()(t, k) - exact;
      error += difference * difference;
      size += exact * exact;
    }
  }
  return size > 0.0 ? 100.0 * std::sqrt(error / size) : error;
}

// % of the values in rows with an outlier, its own tile left out, that come back different for it.
double moved_by_outlier(const Tensor& with, const Tensor& without) {
  int64_t moved = 0, all = 0;
  for (int64_t t = static_cast<int64_t>(FirstTile::kOutlier); t < kRows; t += 4) {
    for (int64_t k = kFp8Tile; k < kColumns; ++k, ++all) {
      moved += with.mat()(t, k) != without.mat()(t, k);
    }
  }
  return 100.0 * static_cast<double>(moved) / static_cast<double>(all);
}

void measure_hard_tiles(Context& ctx, const Trial& trial, Outcome& outcome) {
  const Tensor x = hard_tensor(ctx, trial.seed, 1e4);
  const Tensor y = stored(ctx, x, trial.variant);
  const Tensor exact = x.to_host();
  const Tensor calm = stored(ctx, hard_tensor(ctx, trial.seed, 1.0), trial.variant);
  outcome.figures["zeros"] = error_of(y, exact, FirstTile::kZeros, 0, kFp8Tile);
  outcome.figures["tiny"] = error_of(y, exact, FirstTile::kTiny, 0, kFp8Tile);
  outcome.figures["moved"] = moved_by_outlier(y, calm);
  outcome.figures["neighbours"] = error_of(y, exact, FirstTile::kOutlier, kFp8Tile, kColumns);
  outcome.figures["normal"] = error_of(y, exact, FirstTile::kNormal, 0, kColumns);
}

}  // namespace

Experiment make_zero_and_tiny() {
  Experiment e;
  e.name = "zero-and-tiny";
  e.claim =
      "With a scale for every 128 values, an outlier spoils the values of its own tile only, and "
      "values far smaller than others keep their precision.";
  e.reported = "the reason for fine-grained scales (section 3.3.2, figure 7a); no figure";
  e.varied =
      "a tensor of 256 rows of four tiles: the first tile of a row is zeros, or below 1e-8, or "
      "has one value of 1e4, or is normal like all others; E4M3 codes with the scales that the "
      "columns name";
  e.limits =
      "Random tensors. Power-of-two scales, but one F32 scale per tensor. E4M3 alone reaches 2^15 "
      "below the largest value before codes lose bits: an outlier of 1e4 among values near 1 "
      "stays within it";
  e.variants = {kTiles, kFloor, kOneScale};
  e.figures = {{"zeros", "values that come back from tiles of zeros, sum of squares"},
               {"tiny", "relative error of tiles below 1e-8, %"},
               {"moved", "values beside a tile with an outlier that it changes, %"},
               {"neighbours", "their relative error, %"},
               {"normal", "relative error of rows of normal values, %"}};
  e.claims = {
      {.text = "an outlier changes no value beside its tile; with one scale it changes them",
       .reported = "no figure",
       .figure = "moved",
       .variant = kTiles,
       .baseline = kOneScale},
      {.text = "and these values are half as wrong, or less",
       .reported = "no figure",
       .figure = "neighbours",
       .variant = kTiles,
       .baseline = kOneScale,
       .factor = 2.0},
      {.text = "tiny tiles keep their precision; one scale makes zeros of them",
       .reported = "no figure",
       .figure = "tiny",
       .variant = kTiles,
       .baseline = kOneScale,
       .factor = 10.0},
      {.text = "a floor under amax, as inference kernels have it, costs tiny gradients precision",
       .reported = "no figure",
       .figure = "tiny",
       .variant = kTiles,
       .baseline = kFloor}};
  e.measure = measure_hard_tiles;
  return e;
}

}  // namespace hadal
