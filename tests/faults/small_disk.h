// faults/small_disk.h: what the fault tests save, convert and pack: as small as the formats allow, since
// each of thousands of tries does all of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hadal/data/dataset.h"
#include "hadal/train/ema.h"
#include "tests/faults/fault_drive.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {

ModelConfig smallest_shape();

// A training state after some steps, with an average; its bytes follow from `steps` alone.
struct SavedState {
  SavedState();
  void at_step(int64_t steps);
  void save(const std::string& run_folder, int64_t steps);  // keeps two; `run_folder` holds a run
  void save_ema(const std::string& run_folder);

  ThreadPool pool{1};
  Arena arena;
  Context ctx{pool, arena};
  TrainState state;
};

// Writes three texts below the folder and names what prepares them there.
DataConfig small_data(const TemporaryFolder& folder, int64_t words_of_each);

// The checkpoints of a run: step -> the bytes of all its files.
std::map<int64_t, DiskTree> checkpoints_of(const std::string& run_folder);

// Bytes without what tells the time.
DiskTree without_times(DiskTree tree);

}  // namespace hadal::test
