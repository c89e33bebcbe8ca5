#include "hadal/measure/model_flops.h"

namespace hadal {

double forward_flops_per_token(const ModelConfig& config, int64_t length) {
  const double parameters =
      2.0 * static_cast<double>(count_parameters(config).active_without_embedding);
  const double attention = static_cast<double>(config.n_layers * config.n_heads * length) *
                           static_cast<double>(config.d_qk() + config.v_head_dim);
  return parameters + attention;
}

double training_flops_per_token(const ModelConfig& config, int64_t length) {
  return 3.0 * forward_flops_per_token(config, length);
}

}  // namespace hadal
