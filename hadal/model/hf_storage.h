// model/hf_storage.h: what config.json says of the forms in which its weights are stored.
#pragma once

#include <optional>
#include <string>

#include "hadal/core/json.h"
#include "hadal/model/hf_fields.h"
#include "hadal/model/stored_weight.h"

namespace hadal {

// "f32", "bf16", "f16", "fp8", "q8", "q4", as options and config.json spell them.
std::string_view form_key(WeightForm form);
std::optional<WeightForm> form_from_key(std::string_view key);

// The config.json of the same model, other keys untouched, for weights stored as `forms`.
void set_hf_storage(Json& config, const StoredForms& forms, bool power_of_two_scales);

// quantization_config of published FP8 checkpoints.
Json hf_fp8_storage(bool power_of_two_scales);

// What a quantization_config of hadal's own says of every weight. Refuses what it cannot mean.
StoredForms read_hadal_storage(const HfFields& quantization);
// The same of a whole config.json: nothing where it leaves the forms to the tensors, as all but hadal's do.
std::optional<StoredForms> hadal_storage(const Json& config, const std::string& source);

}  // namespace hadal
