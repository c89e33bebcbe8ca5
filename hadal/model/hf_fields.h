// model/hf_fields.h: the members of a JSON object of Hugging Face's, read strictly: every error names
// file, key, found and expected.
#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"

namespace hadal {

class HfFields {
 public:
  HfFields(const Json& object, std::string source, std::string prefix = "")
      : object_(object), source_(std::move(source)), prefix_(std::move(prefix)) {
    if (!object.is_object()) {
      throw FormatError(concat(source_, ": ", prefix_.empty() ? "the configuration" : prefix_,
                               " is no object (found ", object.type_name(), ", expected {...})"));
    }
  }

  // null counts as absent
  const Json* find(std::string_view key) const {
    const Json* value = object_.find(key);
    return value && !value->is_null() ? value : nullptr;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  bool is_null(std::string_view key) const { return object_.find(key) && !find(key); }

  int64_t integer(std::string_view key) const { return to_integer(key, required(key)); }
  int64_t integer(std::string_view key, int64_t fallback) const {
    const Json* value = find(key);
    return value ? to_integer(key, *value) : fallback;
  }
  double number(std::string_view key) const { return to_number(key, required(key)); }
  double number(std::string_view key, double fallback) const {
    const Json* value = find(key);
    return value ? to_number(key, *value) : fallback;
  }
  bool boolean(std::string_view key, bool fallback) const {
    const Json* value = find(key);
    if (value && !value->is_bool()) refuse(key, value->dump(), "true or false");
    return value ? value->as_bool() : fallback;
  }
  std::string text(std::string_view key, const std::string& fallback) const {
    const Json* value = find(key);
    if (value && !value->is_string()) refuse(key, value->dump(), "a string");
    return value ? value->as_string() : fallback;
  }
  int64_t to_integer(std::string_view key, const Json& value) const {
    const bool whole = value.is_number() && std::abs(value.as_number()) < 0x1.0p62 &&
                       std::trunc(value.as_number()) == value.as_number();
    if (!whole) refuse(key, value.dump(), "a whole number");
    return value.as_integer();
  }

  // A key that may be absent, with the one value that hadal implements.
  void expect_text(std::string_view key, const std::string& only) const {
    if (text(key, only) != only) refuse(key, in_quotes(text(key, only)), in_quotes(only));
  }
  void expect_boolean(std::string_view key, bool only) const {
    if (boolean(key, only) != only) refuse(key, only ? "false" : "true", only ? "true" : "false");
  }

  [[noreturn]] void refuse(std::string_view key, const std::string& found,
                           std::string_view expected) const {
    throw FormatError(concat(source_, ": ", name(key), ": not supported (found ",
                             found.substr(0, 100), ", expected ", expected, ")"));
  }
  std::string name(std::string_view key) const {
    return prefix_.empty() ? std::string(key) : concat(prefix_, ".", key);
  }
  const std::string& source() const { return source_; }

 private:
  const Json& required(std::string_view key) const {
    const Json* value = object_.find(key);
    if (!value) {
      throw FormatError(
          concat(source_, ": ", name(key), ": missing; a DeepSeek-V3 config.json needs this key"));
    }
    return *value;
  }
  double to_number(std::string_view key, const Json& value) const {
    if (!value.is_number() || !std::isfinite(value.as_number()))
      refuse(key, value.dump(), "a number");
    return value.as_number();
  }
  const Json& object_;
  std::string source_, prefix_;
};

}  // namespace hadal
