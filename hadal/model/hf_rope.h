// model/hf_rope.h: where config.json says how positions turn: rope_theta and rope_scaling in older
// files, rope_parameters with both in newer ones.
#pragma once

#include "hadal/model/config.h"
#include "hadal/model/hf_fields.h"

namespace hadal {

// Sets rope_theta and yarn. FormatError if a block gives numbers but no type, which other readers
// take for no scaling, or if two places contradict each other.
void read_hf_rope(const HfFields& fields, ModelConfig& config);

}  // namespace hadal
