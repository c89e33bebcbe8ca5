// plan/serving_cells.h: the parts of a serving plan; each adds one section to the sheet. They read
// each other's cells by name, those of the model and of the cluster too.
#pragma once

#include "hadal/plan/serving.h"

namespace hadal {

// "serving", and the model and the cluster (an H800's) if the sheet lacks them.
void add_serving_basis(Worksheet& sheet, const ModelConfig& config);
// Size of a pool, weights per GPU. `pool` is "prefill" or "decode", and starts the cells' names.
void add_serving_pool(Worksheet& sheet, const std::string& pool, const ServingPool& figures,
                      const std::string& source);
void add_prefill(Worksheet& sheet, const ModelConfig& config, const ServingPool& pool,
                 const std::string& source);
void add_decode(Worksheet& sheet, const ModelConfig& config, const ServingPool& pool,
                const std::string& source);
void add_speed_limits(Worksheet& sheet);  // published
void add_serving_day(Worksheet& sheet);   // published

}  // namespace hadal
