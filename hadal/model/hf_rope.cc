#include "hadal/model/hf_rope.h"

#include <algorithm>
#include <optional>

#include "hadal/core/in_quotes.h"

namespace hadal {
namespace {

constexpr const char* kYarnKeys[] = {"factor",          "original_max_position_embeddings",
                                     "beta_fast",       "beta_slow",
                                     "mscale",          "mscale_all_dim",
                                     "attention_factor"};

// What is said of one thing, and under which key; nothing so far.
template <class T>
struct Said {
  std::string key;
  T value{};
};

template <class T>
void say(std::optional<Said<T>>& said, const HfFields& fields, const std::string& key,
         const T& value, std::string (*text)(const T&)) {
  if (said && said->value != value) {
    throw FormatError({.place = fields.source(),
                       .field = key,
                       .problem = {"contradicts ", said->key},
                       .found = text(value),
                       .expected = {"as there, ", text(said->value)},
                       .advice = "remove the one that is not meant"});
  }
  if (!said) said = {key, value};
}

std::string theta_text(const double& theta) { return concat(theta); }

std::string yarn_text(const std::optional<YarnConfig>& yarn) {
  if (!yarn) return "no scaling";
  return concat("YaRN of factor ", yarn->factor, " over ", yarn->original_max_position,
                " positions, beta_fast ", yarn->beta_fast, ", beta_slow ", yarn->beta_slow,
                ", mscale ", yarn->mscale, ", mscale_all_dim ", yarn->mscale_all_dim);
}

std::optional<YarnConfig> read_yarn(const HfFields& f) {
  const std::string type = f.text("type", f.text("rope_type", "default"));
  if (f.has("type") && f.has("rope_type") && f.text("rope_type", "") != type) {
    f.refuse("rope_type", in_quotes(f.text("rope_type", "")),
             "the same as type, " + in_quotes(type));
  }
  if (type == "default") return std::nullopt;
  if (type != "yarn") f.refuse(f.has("type") ? "type" : "rope_type", in_quotes(type), "\"yarn\"");
  if (f.has("attention_factor")) {
    f.refuse("attention_factor", f.find("attention_factor")->dump(), "mscale and mscale_all_dim");
  }
  f.expect_boolean("truncate", true);
  YarnConfig yarn;
  yarn.factor = f.number("factor");
  yarn.original_max_position = f.integer("original_max_position_embeddings");
  yarn.beta_fast = f.number("beta_fast", 32.0);
  yarn.beta_slow = f.number("beta_slow", 1.0);
  yarn.mscale = f.number("mscale", 1.0);
  yarn.mscale_all_dim = f.number("mscale_all_dim", 0.0);
  return yarn;
}

// rope_parameters may hold rope_theta alone; whatever else there is needs a type.
bool says_scaling(const HfFields& block, const std::string& key) {
  if (block.has("type") || block.has("rope_type")) return true;
  const bool numbers = std::any_of(std::begin(kYarnKeys), std::end(kYarnKeys),
                                   [&](const char* each) { return block.has(each); });
  if (numbers || key == "rope_scaling") {
    throw FormatError({.place = block.source(),
                       .field = key,
                       .problem = "a block without a type",
                       .expected = "\"type\": \"yarn\" in it",
                       .advice = "for positions without scaling write null in its place"});
  }
  return false;
}

}  // namespace

void read_hf_rope(const HfFields& fields, ModelConfig& config) {
  std::optional<Said<double>> theta;
  std::optional<Said<std::optional<YarnConfig>>> yarn;
  if (fields.has("rope_theta")) theta = {"rope_theta", fields.number("rope_theta")};
  for (const std::string key : {"rope_scaling", "rope_parameters"}) {
    const Json* object = fields.find(key);
    if (!object) continue;
    const HfFields block(*object, fields.source(), key);
    if (block.has("rope_theta")) {
      say(theta, fields, key + ".rope_theta", block.number("rope_theta"), theta_text);
    }
    if (says_scaling(block, key)) say(yarn, fields, key, read_yarn(block), yarn_text);
  }
  config.rope_theta = theta ? theta->value : 10000.0;
  config.yarn = yarn ? yarn->value : std::nullopt;
}

}  // namespace hadal
