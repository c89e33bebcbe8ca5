#include "hadal/infer/generation_defaults.h"

#include <cmath>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/path_status.h"

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

std::optional<int64_t> whole_number(const Json& json, const std::string& file,
                                    const std::string& key, int64_t least) {
  const std::optional<double> value = number(json, file, key);
  if (!value) return std::nullopt;
  if (*value < static_cast<double>(least) || *value > 1e9 || *value != std::floor(*value)) {
    throw_wrong(file, key, *json.find(key), least == 0 ? "0 or more" : "1 or more");
  }
  return static_cast<int64_t>(*value);
}

// What stands under `key`: nothing, one value or a list of them.
Json::Array values(const Json& json, const std::string& key) {
  const Json* value = json.find(key);
  if (value == nullptr || value->is_null()) return {};
  return value->is_array() ? value->as_array() : Json::Array{*value};
}

std::vector<int32_t> token_ids(const Json& json, const std::string& file, const std::string& key) {
  std::vector<int32_t> ids;
  for (const Json& id : values(json, key)) {
    if (!id.is_integer() || id.as_integer() < 0 ||
        id.as_integer() > std::numeric_limits<int32_t>::max()) {
      throw_wrong(file, key, id, "token ids");
    }
    ids.push_back(static_cast<int32_t>(id.as_integer()));
  }
  return ids;
}

}  // namespace

GenerationDefaults read_generation_defaults(const std::string& folder) {
  const std::string file = folder + "/generation_config.json";
  GenerationDefaults defaults;
  if (!path_exists(file)) return defaults;
  const Json json = parse_json_file(file);
  if (!json.is_object()) throw_wrong(file, "document", json, "an object");

  defaults.eos_token_ids = token_ids(json, file, "eos_token_id");
  defaults.suppress_tokens = token_ids(json, file, "suppress_tokens");
  for (const Json& text : values(json, "stop_strings")) {
    if (!text.is_string() || text.as_string().empty()) {
      throw_wrong(file, "stop_strings", text, "texts");
    }
    defaults.stop_strings.push_back(text.as_string());
  }
  defaults.max_new_tokens = whole_number(json, file, "max_new_tokens", 1);
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
  defaults.min_p = number(json, file, "min_p");
  defaults.top_k = whole_number(json, file, "top_k", 0);
  return defaults;
}

}  // namespace hadal
