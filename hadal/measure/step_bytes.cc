#include "hadal/measure/step_bytes.h"

#include <algorithm>
#include <cmath>

namespace hadal {

double StepBytes::pass(double distinct_experts, double past_tokens) const {
  return common + static_cast<double>(layers) * distinct_experts * expert +
         past_tokens * cache_token;
}

StepBytes step_bytes(const ModelConfig& config, double bytes_per_value, LatentForm cache) {
  const ParameterCount count = count_parameters(config);
  StepBytes bytes;
  for (int64_t layer = 0; layer < config.n_layers; ++layer) bytes.layers += config.is_moe(layer);
  bytes.top_k = config.router.top_k;
  bytes.n_experts = config.router.n_routed_experts;
  const double expert = 3.0 * static_cast<double>(config.d_model * config.d_expert);
  const double chosen = static_cast<double>(bytes.top_k) * expert;
  bytes.expert = expert * bytes_per_value;
  bytes.common = bytes_per_value * (static_cast<double>(count.active_without_embedding) -
                                    static_cast<double>(bytes.layers) * chosen);
  bytes.cache_token = static_cast<double>(LatentPages::bytes_per_token(config, 0, cache));
  if (config.n_mtp > 0) {
    const double all = static_cast<double>(count.mtp) / static_cast<double>(config.n_mtp);
    const double head = static_cast<double>(config.vocab_size * config.d_model);
    bytes.module =
        bytes_per_value * (all - static_cast<double>(bytes.n_experts) * expert + chosen + head);
  }
  return bytes;
}

double distinct_experts(const StepBytes& bytes, double n_rows, double overlap) {
  const double top_k = static_cast<double>(bytes.top_k);
  const double all = static_cast<double>(bytes.n_experts);
  if (bytes.layers == 0 || overlap >= 1.0) return top_k;
  const double from = overlap > 0.0 ? std::min(all, top_k / overlap) : all;
  return from * (1.0 - std::pow(1.0 - top_k / from, n_rows));
}

double predicted_speedup(const StepBytes& bytes, int64_t n_drafts, double tokens_per_step,
                         double overlap, double past_tokens) {
  const auto pass = [&](double n_rows) {
    return bytes.pass(distinct_experts(bytes, n_rows, overlap), past_tokens);
  };
  const double drafts = static_cast<double>(n_drafts);
  return tokens_per_step * pass(1) / (pass(1 + drafts) + drafts * bytes.module);
}

void ExpertOverlap::offer(std::string_view name, int /*layer*/, const Tensor& value) {
  if (name != "router.indices" || value.dim(0) < 2) return;
  const Tensor on_host = value.to_host();
  const View<const int32_t, 2> chosen = on_host.view<int32_t, 2>();
  for (int64_t row = 1; row < chosen.dim(0); ++row) {
    const std::span<const int32_t> before = chosen.row(row - 1);
    for (const int32_t expert : chosen.row(row)) {
      common_ += std::ranges::find(before, expert) != before.end() ? 1.0 : 0.0;
    }
  }
  chosen_ += static_cast<double>((chosen.dim(0) - 1) * chosen.dim(1));
}

}  // namespace hadal
