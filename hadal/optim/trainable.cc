#include "hadal/optim/trainable.h"

namespace hadal {

void for_each_trainable(Context& ctx, const std::vector<Trainable>& params,
                        FunctionRef<void(size_t)> body) {
  constexpr int64_t kSmall = int64_t{1} << 17;  // elements: value, gradient and moments fit the L2
  std::vector<size_t> small;
  for (size_t i = 0; i < params.size(); ++i) {
    if (params[i].param->master.size() <= kSmall) {
      small.push_back(i);
    } else {
      body(i);
    }
  }
  ctx.pool.parallel_tasks(static_cast<int64_t>(small.size()),
                          [&](int64_t task, int) { body(small[static_cast<size_t>(task)]); });
}

}  // namespace hadal
