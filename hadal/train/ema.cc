#include "hadal/train/ema.h"

#include <utility>

#include "hadal/io/atomic_folder.h"
#include "hadal/model/precision.h"

namespace hadal {

void swap_ema(Context& ctx, TrainState& state) {
  const std::vector<Trainable>& params = state.optimizer.params();
  for (size_t i = 0; i < params.size(); ++i) std::swap(params[i].param->master, state.ema[i]);
  remake_working_weights(ctx, state.model);
}

std::string save_ema_model(Context& ctx, const RunFolder& run, DeepseekV3& averaged,
                           const TrainingCheckpointOptions& options) {
  const std::string folder = run.path() + "/ema";
  AtomicFolder whole(folder);
  save_model_folder(ctx, whole.temporary(), averaged, options);
  whole.commit();
  return folder;
}

}  // namespace hadal
