// train/run_folder.h: the folder of one run, owned by one process at a time.
//
//   run.toml  metrics.jsonl  report.html  tensorboard/  checkpoints/step-00000120/  latest -> ...
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/core/descriptor.h"

namespace hadal {

class RunFolder {
 public:
  // Creates the folder and locks it (flock: the lock dies with the process, however it dies).
  // ConfigError if another process holds it, if it holds a run and `resume` is false, or if it does
  // not and `resume` is true.
  RunFolder(const std::string& path, bool resume);

  const std::string& path() const { return path_; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }
  std::string latest() const { return path_ + "/latest"; }

 private:
  std::string path_;
  Descriptor lock_;
};

// "step-00000120"
std::string checkpoint_name(int64_t step);
// Steps of the checkpoint folders in `checkpoints`, ascending; unfinished ones do not count.
std::vector<int64_t> checkpoint_steps(const std::string& checkpoints);

}  // namespace hadal
