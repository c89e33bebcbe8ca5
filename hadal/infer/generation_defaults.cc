#include "hadal/infer/generation_defaults.h"

#include <filesystem>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/core/json.h"

namespace hadal {
namespace {

[[noreturn]] void throw_wrong(const std::string& file, const std::string& key, const Json& value,
                              const char* expected) {
  throw FormatError(concat(file, ": ", key, ": wrong value (found ", value.dump(), ", expected ",
                           expected, "); correct the file or remove it"));
}

std::optional<double> number(const Json& json, const std::string& file, const std::string& key) {
  const Json* value = json.find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_number()) throw_wrong(file, key, *value, "a number");
  return value->as_number();
}

int32_t token_id(const Json& value, const std::string& file) {
  if (!value.is_integer() || value.as_integer() < 0 ||
      value.as_integer() > std::numeric_limits<int32_t>::max()) {
    throw_wrong(file, "eos_token_id", value, "token ids");
  }
  return static_cast<int32_t>(value.as_integer());
}

}  // namespace

GenerationDefaults read_generation_defaults(const std::string& folder) {
  const std::string file = folder + "/generation_config.json";
  GenerationDefaults defaults;
  if (!std::filesystem::exists(file)) return defaults;
  const Json json = parse_json_file(file);
  if (!json.is_object()) throw_wrong(file, "document", json, "an object");

  if (const Json* ids = json.find("eos_token_id"); ids != nullptr && !ids->is_null()) {
    if (ids->is_array()) {
      for (const Json& id : ids->as_array()) defaults.eos_token_ids.push_back(token_id(id, file));
    } else {
      defaults.eos_token_ids.push_back(token_id(*ids, file));
    }
  }
  defaults.repetition_penalty = number(json, file, "repetition_penalty");
  const Json* do_sample = json.find("do_sample");
  if (do_sample != nullptr && !do_sample->is_bool()) {
    throw_wrong(file, "do_sample", *do_sample, "true or false");
  }
  if (do_sample != nullptr && !do_sample->as_bool()) {
    defaults.temperature = 0.0;
    return defaults;
  }
  defaults.temperature = number(json, file, "temperature");
  if (do_sample != nullptr && !defaults.temperature) defaults.temperature = 1.0;
  defaults.top_p = number(json, file, "top_p");
  if (const std::optional<double> top_k = number(json, file, "top_k")) {
    if (*top_k < 0 || *top_k > 1e9) throw_wrong(file, "top_k", *json.find("top_k"), "0 or more");
    defaults.top_k = static_cast<int64_t>(*top_k);
  }
  return defaults;
}

}  // namespace hadal
