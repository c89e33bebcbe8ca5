#include "tests/support/small_run.h"

#include <filesystem>
#include <set>

#include "hadal/core/rng.h"
#include "hadal/ops/compute_device.h"
#include "hadal/train/run_folder.h"
#include "tests/support/generated_text.h"

namespace hadal::test {

namespace fs = std::filesystem;

SmallRun::SmallRun() {
  for (uint64_t document = 0; document < 12; ++document) {
    folder_.write(concat("text-", document, ".txt"), generated_text(document, 300));
  }
  toml_ = folder_.write("run.toml", std::string(kSmallShapeToml) + R"([data]
vocab_size = 300
fim_rate = 0.0
validation_fraction = 0.2
[train]
seq_len = 24
batch_sequences = 4
micro_batch_sequences = 4
steps = 8
[optimizer]
learning_rate = 2e-3
warmup_steps = 3
[eval]
every_steps = 3
sequences = 6
[checkpoint]
every_steps = 4
every_seconds = 0
keep = 5
[log]
load_every_steps = 2
)");
}

namespace {

Json run_of(const TrainConfig& config, bool resume, Device kind = Device::kCpu) {
  ThreadPool pool(2);
  const ComputeDevice device(kind);
  Arena arena(device.memory());
  Context ctx = device.context(pool, arena);
  return pretrain(ctx, config, resume);
}

}  // namespace

TrainConfig SmallRun::config(const std::string& name, const std::vector<std::string>& set) const {
  return config_of(toml_, name, set);
}

Json SmallRun::train_from(const std::string& model, const std::string& name,
                          std::vector<std::string> set, bool resume) const {
  std::string text = read_bytes(toml_);
  text.erase(0, text.find("[data]"));
  text.erase(text.find("vocab_size"),
             text.find('\n', text.find("vocab_size")) - text.find("vocab_size"));
  set.push_back("model.init=" + model);
  return run_of(config_of(folder_.write("init.toml", text), name, set), resume);
}

TrainConfig SmallRun::config_of(const std::string& toml, const std::string& name,
                                const std::vector<std::string>& set) const {
  std::vector<std::string> all = {"train.out=" + path(name), "data.cache_dir=" + path("cache"),
                                  concat("data.paths=[\"", path("text-*.txt"), "\"]")};
  all.insert(all.end(), set.begin(), set.end());
  return read_train_config(toml, all);
}

Json SmallRun::train(const std::string& name, const std::vector<std::string>& set,
                     bool resume) const {
  return run_of(config(name, set), resume);
}

Json SmallRun::train_on(Device device, const std::string& name, const std::vector<std::string>& set,
                        bool resume) const {
  return run_of(config(name, set), resume, device);
}

std::string step_folder(const SmallRun& run, const std::string& name, int64_t step) {
  return run.path(name) + "/checkpoints/" + checkpoint_name(step);
}

void copy_as_killed_after(const SmallRun& run, const std::string& from, const std::string& to,
                          int64_t step) {
  fs::copy(run.path(from), run.path(to),
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const int64_t other : checkpoint_steps(run.path(to) + "/checkpoints")) {
    if (other > step) fs::remove_all(step_folder(run, to, other));
  }
}

Batch small_batch(int64_t n_sequences, int64_t length, uint64_t seed) {
  Rng rng(seed);
  Batch batch{n_sequences, length, {}, {}};
  for (int64_t s = 0; s < n_sequences; ++s) {
    std::vector<int32_t> ids;
    for (int64_t t = 0; t <= length; ++t)
      ids.push_back(static_cast<int32_t>(rng.uniform_below(80)));
    batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.end() - 1);
    batch.targets.insert(batch.targets.end(), ids.begin() + 1, ids.end());
  }
  return batch;
}

std::vector<std::string> differing_files(const std::string& a, const std::string& b) {
  std::set<std::string> names;
  for (const std::string& folder : {a, b}) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      names.insert(entry.path().filename().string());
    }
  }
  std::vector<std::string> differing;
  for (const std::string& name : names) {
    const bool both = fs::exists(a + "/" + name) && fs::exists(b + "/" + name);
    if (!both || read_bytes(a + "/" + name) != read_bytes(b + "/" + name))
      differing.push_back(name);
  }
  return differing;
}

}  // namespace hadal::test
