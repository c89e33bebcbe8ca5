// ops/rope_yarn.h: decoupled rotary positions, interleaved pairs, with YaRN (arXiv:2309.00071).
//
//   x'[2i] = x[2i] cos a - x[2i+1] sin a    x'[2i+1] = x[2i] sin a + x[2i+1] cos a    a = t f_i
// docs/equations.md, "RoPE" and "YaRN". Angles are formed in f64.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "hadal/tensor/context.h"

namespace hadal {

struct YarnConfig {  // config.json: rope_scaling
  double factor = 40.0;
  int64_t original_max_position = 4096;
  double beta_fast = 32.0, beta_slow = 1.0;
  double mscale = 1.0, mscale_all_dim = 1.0;
  bool operator==(const YarnConfig&) const = default;
};

struct RopeConfig {
  int64_t dim = 64;  // qk_rope_head_dim, even
  double theta = 10000.0;
  std::optional<YarnConfig> yarn;
  bool operator==(const RopeConfig&) const = default;
};

std::vector<double> rope_inv_freq(const RopeConfig& config);  // f_i, dim/2 values
double rope_magnitude(const RopeConfig& config);  // of cos, sin: m(mscale)/m(mscale_all_dim)
// (d_qk)^-1/2 m(mscale_all_dim)^2, d_qk = qk_nope_head_dim + qk_rope_head_dim
double softmax_scale(const RopeConfig& config, int64_t d_qk);

// cos and sin [n_positions, dim/2], magnitude included. Shared: made once per model.
struct RopeTable {
  Tensor cos, sin;
  static RopeTable make(Arena& arena, const RopeConfig& config, int64_t n_positions);
  int64_t n_positions() const { return cos.has_data() ? cos.dim(0) : 0; }
};

// Turns x[t,h,:] by positions[t], in place. x is [T, H, dim] with any strides on T and H, so the
// rotary columns of a wider tensor can be turned in place. REQUIRES positions[t] < n_positions.
void rope_forward(Context& ctx, View<float, 3> x, const RopeTable& table,
                  std::span<const int32_t> positions);
// Turns back: the transpose of rope_forward, in place on the gradient.
void rope_backward(Context& ctx, View<float, 3> dx, const RopeTable& table,
                   std::span<const int32_t> positions);

}  // namespace hadal
