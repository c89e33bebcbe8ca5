// model/inspect.h: what a file or folder holds, and whether it is sound.
#pragma once

#include <string>

#include "hadal/core/json.h"
#include "hadal/tensor/context.h"

namespace hadal {

enum class InspectKind { kCheckpoint, kSafetensors, kTokenizer, kConfig };
// A checkpoint folder or a run's, a .safetensors file or index, a tokenizer.json or its folder, a
// config.json or a preset's name. FormatError if it is none of these.
InspectKind kind_of(const std::string& path);

// kind, architecture, parameters_total, parameters_active, parameters_mtp, bytes, files,
// tensors: [{name, dtype, shape, bytes}], config, memory: {weight_bytes: {BF16, FP8, Q8, Q4},
// cache_bytes_per_token: {BF16, FP8}, available_bytes}; null where the kind has no such thing. A
// checkpoint is always held to its config.json. With `verify` all data is read: a value that is not
// finite, or a file that differs from its manifest.json, is a FormatError; otherwise "verified" is
// true.
Json inspect_path(Context& ctx, const std::string& path, InspectKind kind, bool verify);

}  // namespace hadal
