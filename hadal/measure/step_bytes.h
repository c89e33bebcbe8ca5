// measure/step_bytes.h: the bytes that a pass of few rows has to read, and what speculation can win
// where reading them is all that takes time.
//
//   pass(n) = common + layers * distinct(n) * expert + cache      n rows, those of drafts included
//   speed-up = tokens per step * pass(1) / (pass(1 + drafts) + drafts * module)
//
// Attention, dense and shared experts, routers and head are read once for all rows, but another row
// chooses other experts. Rows that follow each other share more of them than chance would have it; of
// neighbours, a share `overlap` is common. Then n rows choose as from E = top_k / overlap experts:
//
//   distinct(n) = E (1 - (1 - top_k / E)^n)
#pragma once

#include <cstdint>

#include "hadal/infer/latent_pages.h"
#include "hadal/model/config.h"
#include "hadal/tensor/probe.h"

namespace hadal {

struct StepBytes {
  double common = 0;                             // of one pass, whatever its rows
  double expert = 0;                             // of a routed expert in one layer
  double cache_token = 0;                        // of the latents of one past token, all layers
  double module = 0;                             // of one draft by an MTP module, its head included
  int64_t layers = 0, top_k = 0, n_experts = 0;  // layers with experts

  double pass(double distinct_experts, double past_tokens) const;
};
// A model whose weights take so many bytes a value and whose cache has this form.
StepBytes step_bytes(const ModelConfig& config, double bytes_per_value, LatentForm cache);

// Different experts that n rows choose in a layer, on average. `overlap` 0: no model, as by chance.
double distinct_experts(const StepBytes& bytes, double n_rows, double overlap);

// Predicted tokens/s with `n_drafts` MTP drafts a step over those without.
double predicted_speedup(const StepBytes& bytes, int64_t n_drafts, double tokens_per_step,
                         double overlap, double past_tokens);

// Listens to passes: which share of a row's experts the row before it chose as well.
class ExpertOverlap final : public Probe {
 public:
  void offer(std::string_view name, int layer, const Tensor& value) override;
  double share() const { return chosen_ > 0 ? common_ / chosen_ : 0.0; }  // 0: no pass of two rows

 private:
  double common_ = 0, chosen_ = 0;
};

}  // namespace hadal
