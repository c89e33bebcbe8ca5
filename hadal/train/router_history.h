// train/router_history.h: experts chosen by slightly older parameters, for runs whose spikes come from
// the experts (DeepSeek-V4's report, section 4.2.3, "anticipatory routing"; off by default).
//
//   chosen_t = top_k of score(x_t, W_{t-n}) + route_bias_t        gates_t = scores of W_t, as ever
//
// W: the routers' weights, n updates ago. There the whole older model chooses; here only its routers
// do, on what the layers of now hand them: one product more for each router, no second forward pass.
#pragma once

#include <string>
#include <vector>

#include "hadal/model/deepseek_v3.h"

namespace hadal {

class RouterHistory {
 public:
  // n_updates 0: remembers nothing. Before n updates were made the oldest are the first weights.
  RouterHistory(Arena& arena, DeepseekV3& model, int64_t n_updates);

  void remember(Arena& arena);  // before an update
  void choose_by_oldest() const;
  void choose_by_current() const;

  // take(name, tensor) for each of them, in a fixed order.
  template <class Take>
  void for_each(const Take& take) {
    for (size_t n = 0; n < versions_.size(); ++n) {
      for (size_t i = 0; i < routers_.size(); ++i) {
        take(concat("router_before.", versions_.size() - n, ".", i), versions_[n][i]);
      }
    }
  }

 private:
  std::vector<Moe*> routers_;                  // MTP layers last
  std::vector<std::vector<Tensor>> versions_;  // [update, oldest first][router]
};

}  // namespace hadal
