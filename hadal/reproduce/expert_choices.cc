#include "hadal/reproduce/expert_choices.h"

#include "hadal/model/forward.h"

namespace hadal {
namespace {

class ChoiceCounter : public Probe {
 public:
  ChoiceCounter(const ModelConfig& config, ExpertCounts& counts) : counts_(counts) {
    counts_.resize(static_cast<size_t>(config.n_layers));
    for (int64_t layer = 0; layer < config.n_layers; ++layer) {
      if (!config.is_moe(layer)) continue;
      counts_[static_cast<size_t>(layer)].resize(
          static_cast<size_t>(config.router.n_routed_experts));
    }
  }
  void offer(std::string_view name, int layer, const Tensor& value) override {
    if (name != "router.indices" || layer >= static_cast<int>(counts_.size())) return;
    std::vector<int64_t>& row = counts_[static_cast<size_t>(layer)];
    for (const int32_t expert : value.flat<int32_t>()) ++row[static_cast<size_t>(expert)];
  }

 private:
  ExpertCounts& counts_;
};

}  // namespace

void add_choices(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                 int64_t length, ExpertCounts& counts) {
  ChoiceCounter counter(model.config, counts);
  Context listening = ctx;
  listening.probe = &counter;
  const auto n = static_cast<int64_t>(tokens.size()) / length;
  forward_logits(listening, model, tokens, Sequences::equal(n, length), /*with_mtp=*/false);
}

}  // namespace hadal
