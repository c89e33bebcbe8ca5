// infer/generation_defaults.h: how a model folder says it wants to be sampled
// (generation_config.json).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hadal {

// Only what the file says; do_sample false means temperature 0.
struct GenerationDefaults {
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k, max_new_tokens;
  std::vector<int32_t> eos_token_ids, suppress_tokens;
  std::vector<std::string> stop_strings;
};

// Empty when `folder` has no such file; FormatError when it has a broken one.
GenerationDefaults read_generation_defaults(const std::string& folder);

}  // namespace hadal
