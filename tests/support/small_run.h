// A pre-training run of a second: three layers of width 32 on a few pages of generated text.
#pragma once

#include <string>
#include <vector>

#include "hadal/train/pretrain.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {

class SmallRun {
 public:
  SmallRun();
  // Settings of the run in folder/name; `set` overrides them.
  TrainConfig config(const std::string& name, const std::vector<std::string>& set = {}) const;
  Json train(const std::string& name, const std::vector<std::string>& set = {},
             bool resume = false) const;
  Json train_on(Device device, const std::string& name, const std::vector<std::string>& set = {},
                bool resume = false) const;
  // The same data and settings, but with the model of another run to begin with.
  Json train_from(const std::string& model, const std::string& name,
                  std::vector<std::string> set = {}, bool resume = false) const;
  std::string path(const std::string& name) const { return folder_ / name; }
  const std::string& toml() const { return toml_; }

 private:
  TrainConfig config_of(const std::string& toml, const std::string& name,
                        const std::vector<std::string>& set) const;
  TemporaryFolder folder_;
  std::string toml_;
};

// The folder of a run's checkpoint.
std::string step_folder(const SmallRun& run, const std::string& name, int64_t step);
// A second run folder as if the process had died right after `step`: later checkpoints are gone.
void copy_as_killed_after(const SmallRun& run, const std::string& from, const std::string& to,
                          int64_t step);

// Tokens below small_shape().vocab_size; every sequence another one.
Batch small_batch(int64_t n_sequences, int64_t length, uint64_t seed);

// Names of the files of two folders whose bytes differ, or that only one of them has.
std::vector<std::string> differing_files(const std::string& a, const std::string& b);

}  // namespace hadal::test
