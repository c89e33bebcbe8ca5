// ops/rope_table.cc: frequencies, magnitudes and the table of angles (docs/equations.md, "YaRN").
#include <algorithm>
#include <cmath>
#include <numbers>

#include "hadal/ops/rope_yarn.h"

namespace hadal {
namespace {

// m(s, mscale) of YaRN: 1 without extension, else 0.1 mscale ln s + 1. An mscale that config.json
// lacks is 0, which gives 1 too.
double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// The (fractional) pair index whose wave turns `rotations` times within the original context.
double correction_dim(const RopeConfig& config, double rotations) {
  const double original = static_cast<double>(config.yarn->original_max_position);
  return static_cast<double>(config.dim) *
         std::log(original / (2.0 * std::numbers::pi * rotations)) / (2.0 * std::log(config.theta));
}

}  // namespace

std::vector<double> rope_inv_freq(const RopeConfig& config) {
  std::vector<double> inv_freq(static_cast<size_t>(config.dim / 2));
  const double dim = static_cast<double>(config.dim);
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    inv_freq[i] = std::pow(config.theta, -2.0 * static_cast<double>(i) / dim);
  }
  if (!config.yarn) return inv_freq;
  const double low = std::max(std::floor(correction_dim(config, config.yarn->beta_fast)), 0.0);
  double high = std::min(std::ceil(correction_dim(config, config.yarn->beta_slow)), dim - 1.0);
  if (high == low) high += 0.001;
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    // Pairs below `low` turn fast and keep their frequency; those above `high` are interpolated.
    const double blend = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    inv_freq[i] *= 1.0 - blend + blend / config.yarn->factor;
  }
  return inv_freq;
}

double rope_magnitude(const RopeConfig& config) {
  if (!config.yarn) return 1.0;
  return yarn_mscale(config.yarn->factor, config.yarn->mscale) /
         yarn_mscale(config.yarn->factor, config.yarn->mscale_all_dim);
}

double softmax_scale(const RopeConfig& config, int64_t d_qk) {
  const double plain = 1.0 / std::sqrt(static_cast<double>(d_qk));
  if (!config.yarn) return plain;
  const double mscale = yarn_mscale(config.yarn->factor, config.yarn->mscale_all_dim);
  return plain * mscale * mscale;
}

RopeTable RopeTable::make(Arena& arena, const RopeConfig& config, int64_t n_positions) {
  const std::vector<double> inv_freq = rope_inv_freq(config);
  const double magnitude = rope_magnitude(config);
  RopeTable table;
  const Tensor::Shape shape = {n_positions, config.dim / 2};
  std::vector<float> cosines(static_cast<size_t>(n_positions * config.dim / 2));
  std::vector<float> sines(cosines.size());
  const View<float, 2> cos(cosines.data(), {shape[0], shape[1]}), sin(sines.data(), cos.shape());
  for (int64_t position = 0; position < n_positions; ++position) {
    for (int64_t i = 0; i < config.dim / 2; ++i) {
      const double angle = static_cast<double>(position) * inv_freq[static_cast<size_t>(i)];
      cos(position, i) = static_cast<float>(magnitude * std::cos(angle));
      sin(position, i) = static_cast<float>(magnitude * std::sin(angle));
    }
  }
  table.cos = Tensor::empty(arena, DType::kF32, shape);
  table.cos.read_from(cosines.data());
  table.sin = Tensor::empty(arena, DType::kF32, shape);
  table.sin.read_from(sines.data());
  return table;
}

}  // namespace hadal
