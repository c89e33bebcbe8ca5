#include "hadal/measure/model_flops.h"

namespace hadal {

namespace {

double flops(const ModelConfig& config, int64_t parameters, int64_t n_layers, int64_t length) {
  return 2.0 * static_cast<double>(parameters) +
         static_cast<double>(n_layers * config.n_heads * length) *
             static_cast<double>(config.d_qk() + config.v_head_dim);
}

}  // namespace

double forward_flops_per_token(const ModelConfig& config, int64_t length) {
  return flops(config, count_parameters(config).active_without_embedding, config.n_layers, length);
}

double training_flops_per_token(const ModelConfig& config, int64_t length) {
  const double mtp = flops(config, count_parameters(config).mtp_active, config.n_mtp, length);
  return 3.0 * (forward_flops_per_token(config, length) + mtp);
}

}  // namespace hadal
