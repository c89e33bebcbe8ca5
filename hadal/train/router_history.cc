#include "hadal/train/router_history.h"

#include <algorithm>

namespace hadal {
namespace {

std::vector<Moe*> routers_of(DeepseekV3& model) {
  std::vector<Moe*> routers;
  const auto add = [&](DecoderLayer& layer) {
    Moe* moe = layer.moe();
    if (moe && model.held.holds_layer(layer.index)) routers.push_back(moe);
  };
  for (DecoderLayer& layer : model.layers) add(layer);
  for (MtpBlock& block : model.mtp) add(block.layer);
  return routers;
}

std::vector<Tensor> copies(Arena& arena, const std::vector<Moe*>& routers) {
  std::vector<Tensor> weights;
  for (const Moe* moe : routers) weights.push_back(moe->w_router.master.clone(arena));
  return weights;
}

}  // namespace

RouterHistory::RouterHistory(Arena& arena, DeepseekV3& model, int64_t n_updates)
    : routers_(n_updates > 0 ? routers_of(model) : std::vector<Moe*>{}) {
  for (int64_t n = 0; n < n_updates; ++n) versions_.push_back(copies(arena, routers_));
}

void RouterHistory::remember(Arena& arena) {
  if (versions_.empty()) return;
  versions_.erase(versions_.begin());
  versions_.push_back(copies(arena, routers_));
}

void RouterHistory::choose_by_oldest() const {
  for (size_t i = 0; i < routers_.size(); ++i) {
    routers_[i]->chooses_by = versions_.front()[i].share();
  }
}

void RouterHistory::choose_by_current() const {
  for (Moe* moe : routers_) moe->chooses_by = {};
}

}  // namespace hadal
