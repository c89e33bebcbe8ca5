// model/found_config.h: a config.json held against the weights beside it. Where the two contradict
// each other and the weights alone make a sound model, the weights decide, and it is said.
#pragma once

#include <optional>

#include "hadal/core/error.h"
#include "hadal/io/safetensors.h"
#include "hadal/model/config.h"

namespace hadal {

// Corrects `config` to what is stored, with a note line each: tie_word_embeddings where the head is a
// table of its own, n_mtp where tools dropped the modules. With MTP modules it also notes a table
// inside one that is no copy: they use the main model's all the same. Of theirs only the ends are
// compared, which a fine-tuning changes as it does the rest (the official checkpoint has 4 GB of
// copies).
void correct_by_weights(ModelConfig& config, const TensorSource& source, bool with_mtp);

// The first table that `config` takes for a copy and that is none, every value compared.
std::optional<Refusal> find_false_copy(const ModelConfig& config, const TensorSource& source);

}  // namespace hadal
