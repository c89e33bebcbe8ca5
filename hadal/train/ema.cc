#include "hadal/train/ema.h"

#include "hadal/io/atomic_folder.h"
#include "hadal/model/precision.h"

namespace hadal {

void swap_ema(Context& ctx, TrainState& state) {
  state.average->exchange();
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
