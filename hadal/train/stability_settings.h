// train/stability_settings.h: the settings of [stability] and what makes sense together.
#pragma once

#include "hadal/train/config.h"

namespace hadal {

void add_stability_settings(std::vector<Setting>& table, TrainConfig::Stability& stability);
void validate_stability(const TrainConfig& config);  // ConfigError

}  // namespace hadal
