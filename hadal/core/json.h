// core/json.h: a JSON value, its parser (strict RFC 8259, UTF-8 checked, duplicate keys refused)
// and writer. The parser behind it is nlohmann/json, which stays out of every header.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hadal {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // keeps the order of the text

  Json() = default;  // null; implicit, as JSON reads: NOLINTBEGIN(google-explicit-constructor)
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(int64_t{value}) {}
  Json(int64_t value) : value_(value) {}
  Json(uint64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}  // NOLINTEND(google-explicit-constructor)
  template <class Range>
  static Json array_of(const Range& values) {
    return Json(Array(values.begin(), values.end()));
  }
  static Json object() { return Json(Object{}); }
  static Json array() { return Json(Array{}); }

  bool is_null() const { return value_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const {
    return std::holds_alternative<int64_t>(value_) || std::holds_alternative<uint64_t>(value_);
  }
  bool is_unsigned() const { return std::holds_alternative<uint64_t>(value_); }  // beyond int64_t
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  const char* type_name() const;  // "null", "boolean", "integer", "number", "string", ...

  // Access; a wrong type throws FormatError "expected integer, found string". Callers that know the
  // field's name check first, so that the message can say it.
  bool as_bool() const;
  int64_t as_integer() const;  // also a double with an integral value; refuses what does not fit
  uint64_t as_unsigned() const;
  double as_number() const;
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;
  Array& as_array();
  Object& as_object();

  const Json* find(std::string_view key) const;  // null pointer: not an object, or no such key
  const Json& at(std::string_view key) const;    // throws FormatError "missing key ..."
  Json& operator[](std::string_view key);        // inserts; a null becomes an object
  void push_back(Json value) { as_array().push_back(std::move(value)); }

  // indent < 0: one line. Doubles print shortest round-trip; NaN and infinities print as null.
  // Invalid UTF-8 in strings is written as U+FFFD.
  std::string dump(int indent = -1) const;

  bool operator==(const Json&) const = default;

 private:
  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

// `source` names the file or field in the FormatError ("config.json: line 3, column 7: ...").
// Nesting deeper than 256 is refused.
Json parse_json(std::string_view text, std::string_view source);
Json parse_json_file(const std::string& path);

// The whole file as a string. FormatError if it is not there, no file or longer than `max_bytes`;
// IoError if the system cannot read it.
std::string read_text_file(const std::string& path, int64_t max_bytes = int64_t{1} << 31);

}  // namespace hadal
