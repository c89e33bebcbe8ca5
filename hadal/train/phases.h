// train/phases.h: a run of several phases: pre-training, then context extension (report section 4.3).
//
//   [train] ... [optimizer] ...          the first phase
//   [[phase]]                            the next: what it changes
//   name = "32K"
//   [phase.train] seq_len = 32768 ...
//
// What a phase does not name stays as in the one before, but for what is counted from a phase's own
// beginning: its end, warm-up, ramp, boundaries and switches are none unless it names them, and rate,
// MTP weight and bias speed go on at the value where the phase before ended. Weights, moments, averages,
// biases and the run's clock go over untouched. A phase begins from the checkpoint that the one before
// ended with, in a process that went on as in one that was killed.
#pragma once

#include "hadal/train/config.h"

namespace hadal {

// Takes [[phase]] out of the layers; the last layer that has any decides.
std::vector<TrainConfig::Phase> take_phases(std::vector<SettingsLayer>& layers);
// The same as a list for resolved_toml.
Json phases_json(const TrainConfig& config);

int64_t n_phases(const TrainConfig& config);
// "pre-training" for the first, "phase 2" where none is given.
std::string phase_name(const TrainConfig& config, int64_t phase);
// The settings in force in a phase, 0 the first. REQUIRES 0 <= phase < n_phases(config).
TrainConfig config_of_phase(const TrainConfig& config, int64_t phase);

// ConfigError for a phase that changes what a run cannot, or whose settings are wrong.
void validate_phases(const TrainConfig& config);

// The text of every phase from this one on is there and may be read: found out now, and not when the phase
// begins, perhaps days later. ConfigError, FormatError or IoError names the phase and the path. Only looks.
void require_texts(const TrainConfig& config, int64_t from_phase);

}  // namespace hadal
