#include "hadal/train/ema.h"

#include <filesystem>
#include <utility>

#include "hadal/io/atomic_write.h"

namespace hadal {

void swap_ema(TrainState& state) {
  const std::vector<Trainable>& params = state.optimizer.params();
  for (size_t i = 0; i < params.size(); ++i) std::swap(params[i].param->master, state.ema[i]);
}

std::string save_ema_model(Context& ctx, const RunFolder& run, DeepseekV3& averaged,
                           const TrainingCheckpointOptions& options) {
  const std::string folder = run.path() + "/ema";
  const std::string temporary = folder + ".unfinished";
  std::filesystem::remove_all(temporary);
  make_folders(temporary);
  save_model_folder(ctx, temporary, averaged, options);
  sync_folder(temporary);
  std::filesystem::remove_all(folder);
  std::filesystem::rename(temporary, folder);
  sync_folder(run.path());
  return folder;
}

}  // namespace hadal
