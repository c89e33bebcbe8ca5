#include "tests/faults/small_disk.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "tests/support/generated_text.h"

namespace hadal::test {

namespace fs = std::filesystem;

namespace {

// In memory where there is room: thousands of small files that replace each other wait for a real disk
// most of the time, and what it does with them is not what is tested.
[[maybe_unused]] const bool in_memory =
    ::access("/dev/shm", W_OK) == 0 && ::setenv("TEST_TMPDIR", "/dev/shm/", 0) == 0;

}  // namespace

ModelConfig smallest_shape() {
  ModelConfig shape = small_shape();
  shape.vocab_size = 24;
  shape.d_model = shape.d_ff = 16;
  shape.d_expert = 8;
  shape.q_lora_rank = shape.kv_lora_rank = 8;
  shape.router.n_routed_experts = 4;
  return shape;
}

SavedState::SavedState()
    : state(
          arena,
          [&] {
            DeepseekV3 model = make_model(smallest_shape(), arena);
            initialise_weights(model, arena, 7, 0.1F);
            return model;
          }(),
          AdamwConfig{}, true, 16) {}

void SavedState::at_step(int64_t steps) {
  state.steps = steps;
  state.tokens = steps * 64;
  state.optimizer.set_steps(steps);
  const auto value = static_cast<float>(steps);
  state.params.front().param->master.flat<float>()[0] = value;
  state.average->tensors().front().flat<float>()[0] = value / 2;
  state.average->tensors().back().flat<float>()[0] = value / 4;
}

void SavedState::save(const std::string& run_folder, int64_t steps) {
  at_step(steps);
  RunProgress progress;
  progress.data_position = Json(steps);
  save_training_checkpoint(ctx, RunFolder(run_folder, true), state, progress, {});
}

void SavedState::save_ema(const std::string& run_folder) {
  swap_ema(ctx, state);
  save_ema_model(ctx, RunFolder(run_folder, true), state.model, {});
  swap_ema(ctx, state);
}

DataConfig small_data(const TemporaryFolder& folder, int64_t words_of_each) {
  for (uint64_t i = 0; i < 3; ++i) {
    folder.write(concat("text/", i, ".txt"), generated_text(i, words_of_each));
  }
  DataConfig config;
  config.paths = {folder / "text"};
  config.corpus.validation_fraction = 0.4;
  config.seq_len = 8;
  config.vocab_size = 280;
  config.fim_rate = 0.0;
  config.cache_dir = folder / "cache";
  return config;
}

std::map<int64_t, DiskTree> checkpoints_of(const std::string& run_folder) {
  std::map<int64_t, DiskTree> found;
  const std::string folder = run_folder + "/checkpoints";
  if (!fs::exists(folder)) return found;
  for (const int64_t step : checkpoint_steps(folder)) {
    found[step] = read_tree(folder + "/" + checkpoint_name(step));
  }
  return found;
}

DiskTree without_times(DiskTree tree) {
  for (auto& [name, item] : tree) {
    const size_t begin = item.text->find("\"written\"");
    if (!name.ends_with("manifest.json") || begin == std::string::npos) continue;
    std::string text = *item.text;
    text.erase(begin, text.find('\n', begin) - begin);
    item.text = std::make_shared<std::string>(std::move(text));
  }
  return tree;
}

}  // namespace hadal::test
