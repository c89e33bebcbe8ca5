// train/run_start.h: where a session of a run begins: at the beginning, or at a checkpoint.
//
// RUN/run.toml names a preset or a config.json, and what that name means can change between
// versions of hadal; the weights on disk cannot. So the checkpoint's own config.json decides the
// shape, and a name that means another one by now is a note. What the user asks for now, against
// the checkpoint, is an error: no run changes its shape on the way.
#pragma once

#include <optional>
#include <string>

#include "hadal/train/config.h"
#include "hadal/train/run_folder.h"
#include "hadal/train/training_checkpoint.h"

namespace hadal {

struct RunStart {
  std::string checkpoint;            // "": a run from its beginning
  SettingsLayer recorded;            // run.toml as the session before left it
  std::optional<ModelConfig> shape;  // of the checkpoint, with what a phase that begins changes
  std::vector<PhaseBegin> phases;    // begun after the first
  bool begins_phase = false;         // the checkpoint is the last of the phase before

  int64_t phase() const { return static_cast<int64_t>(phases.size()); }
};

// ConfigError if a key of [model] has another value than the checkpoint, or if another preset or
// config.json than the recorded one is named and means another model.
RunStart find_run_start(const RunFolder& run, const TrainConfig& config, bool resume);

// With the settings that follow from others, so that run.toml says what was really used.
TrainConfig settled(TrainConfig config, const RunStart& start, int n_threads);
// Those of the phase that `start` stands in: its text goes on behind the documents that the phases
// before have read, with their tokenizer. REQUIRES a settled `config`.
TrainConfig current_phase(const TrainConfig& config, const RunStart& start);

}  // namespace hadal
