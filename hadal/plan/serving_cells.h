// plan/serving_cells.h: the parts of a serving plan; each adds one section to the sheet. Cells that
// another plan in the same sheet has already defined under the same name are shared with it.
#pragma once

#include "hadal/plan/serving.h"

namespace hadal {

// input() and formula() of a sheet that may have the cell already: then that one is kept.
void share_input(Worksheet& sheet, const std::string& name, double value, const std::string& unit,
                 Origin origin, const std::string& note);
void share_formula(Worksheet& sheet, const std::string& name, const std::string& expression,
                   const std::string& unit, const std::string& note);

// The published figures are about this shape alone.
bool is_deepseek_v3_shape(const ModelConfig& config);

void add_serving_basis(Worksheet& sheet, const ModelConfig& config);  // section "serving"
// Size of a pool, weights per GPU. `pool` is "prefill" or "decode", and starts the cells' names.
void add_serving_pool(Worksheet& sheet, const std::string& pool, const ServingPool& figures,
                      const std::string& source);
void add_prefill(Worksheet& sheet, const ServingPool& pool, const std::string& source);
void add_decode(Worksheet& sheet, const ModelConfig& config, const ServingPool& pool,
                const std::string& source);
void add_speed_limits(Worksheet& sheet);
void add_serving_day(Worksheet& sheet);

}  // namespace hadal
