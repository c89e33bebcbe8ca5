// model/hf_neighbours.h: models and storage that resemble DeepSeek-V3's and are not computed here. Each
// is refused by the part that is missing: run as V3 they would load, write fluently and be wrong.
#pragma once

#include "hadal/io/safetensors.h"
#include "hadal/model/hf_fields.h"

namespace hadal {

// By config.json. FormatError names the key, the missing part and what to use instead.
void refuse_neighbours(const HfFields& config);
// By its quantization_config's method, where that is none that hadal reads.
void refuse_neighbours_quantization(const HfFields& quantization);
// By the names and types of the tensors, for a config.json that does not say it.
void refuse_neighbours_tensors(const TensorSource& source);

}  // namespace hadal
