// train/training_checkpoint.h: everything a run needs to go on bit for bit, in one folder.
//
//   config.json, model.safetensors, tokenizer files   the model as any other tool loads it
//   training_state.safetensors   master.*, m.*, v.* (and ema.*) under Hugging Face parameter names;
//                                router_before.* with stability.older_router_steps
//   state.json                   step, tokens, data position, evaluations
//   manifest.json                size and XXH3-64 of every file above
//
// A folder appears whole or not at all: it is written under another name, every file and the folder
// are flushed to the disk, then it is renamed, then `latest` is switched.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hadal/model/checkpoint.h"
#include "hadal/train/run_folder.h"
#include "hadal/train/train_step.h"

namespace hadal {

// Where a later phase of the run began (train/phases.h).
struct PhaseBegin {
  int64_t steps = 0, tokens = 0;  // of the run by then
  Json read;                      // data position where the phase before ended
};

// What a run remembers besides tensors.
struct RunProgress {
  std::vector<PhaseBegin> phases;    // begun after the first
  Json data_position;                // BatchSource::position(); null where a phase begins
  int64_t planned_tokens = 0;        // of the phase, the clock of its schedules; 0: not settled yet
  double elapsed_seconds = 0.0;      // of training; kept only for runs limited by time
  Json evaluations = Json::array();  // one object per evaluation
  Json stability;                    // stability_json; null unless a policy asked for it
};

struct TrainingCheckpointOptions {
  SaveDType dtype = SaveDType::kBF16;
  int64_t keep = 2;
  std::optional<int64_t> keep_too;           // the checkpoint of this step stays besides
  std::vector<std::string> tokenizer_files;  // copied beside the weights
  bool save_clock = false;                   // elapsed_seconds; a file without it repeats exactly
};

void copy_tokenizer(const std::string& folder, const TrainingCheckpointOptions& options);
// The model and its tokenizer alone, into an existing folder.
void save_model_folder(Context& ctx, const std::string& folder, DeepseekV3& model,
                       const TrainingCheckpointOptions& options);

// Returns the folder. IoError if anything cannot be written; checkpoints written before stay valid.
std::string save_training_checkpoint(Context& ctx, const RunFolder& run, TrainState& state,
                                     const RunProgress& progress,
                                     const TrainingCheckpointOptions& options);

// The same of a state that is not all here: write_tensors writes model and state into a folder and returns
// when all is on the disk.
std::string save_training_checkpoint(const RunFolder& run, const StepCount& count,
                                     int64_t optimizer_steps, const RunProgress& progress,
                                     const TrainingCheckpointOptions& options,
                                     FunctionRef<void(const std::string& folder)> write_tensors);

// Newest checkpoint whose files all match its manifest; damaged ones after it are moved aside with
// a warning, and RUN/latest names it. FormatError if all are damaged, IoError if the system cannot read
// one that is there. Only of the steps that `counts` says yes to.
std::optional<std::string> find_valid_checkpoint(
    const RunFolder& run, const std::function<bool(int64_t step)>& counts = {});
// What comes after a step is gone, newest first.
void discard_checkpoints_after(const RunFolder& run, int64_t step);

// state.json alone.
RunProgress read_run_progress(const std::string& folder);

// How far the run was; the updates made go to the optimizer.
RunProgress read_counts(const std::string& folder, StepCount& count, AdamW& optimizer);
// FormatError unless the checkpoint's parameters are exactly those of `state`.
RunProgress load_training_checkpoint(const std::string& folder, TrainState& state);

}  // namespace hadal
