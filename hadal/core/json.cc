#include "hadal/core/json.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"

namespace hadal {
namespace {

constexpr size_t kMaxDepth = 256;

// Builds a Json from nlohmann's events, so that no second tree of the whole text is made.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(std::string_view source) : source_(source) {}
  Json result;
  std::string error;
  size_t error_position = 0;

  bool null() override { return put(Json()); }
  bool boolean(bool value) override { return put(Json(value)); }
  bool number_integer(number_integer_t value) override { return put(Json(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    return put(value <= uint64_t{INT64_MAX} ? Json(static_cast<int64_t>(value))
                                            : Json(uint64_t{value}));
  }
  bool number_float(number_float_t value, const string_t&) override { return put(Json(value)); }
  bool string(string_t& value) override { return put(Json(std::move(value))); }
  bool binary(binary_t&) override { return fail("binary value"); }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    Level& level = stack_.back();
    if (!level.keys.insert(value).second) return fail("duplicate key " + in_quotes(value));
    level.key = std::move(value);
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    error_position = position;
    error = e.what();
    return false;
  }

 private:
  struct Level {
    Json value;
    std::string key;
    std::unordered_set<std::string> keys;
  };
  bool fail(std::string why) {
    error = std::move(why);
    return false;
  }
  bool put(Json value) {
    if (stack_.empty()) {
      result = std::move(value);
      return true;
    }
    Level& level = stack_.back();
    if (level.value.is_array()) {
      level.value.as_array().push_back(std::move(value));
    } else {
      level.value.as_object().emplace_back(std::move(level.key), std::move(value));
    }
    return true;
  }
  bool open(Json value) {
    if (stack_.size() >= kMaxDepth) return fail("nested deeper than 256 levels");
    stack_.push_back({std::move(value), {}, {}});
    return true;
  }
  bool close() {
    Json done = std::move(stack_.back().value);
    stack_.pop_back();
    return put(std::move(done));
  }
  std::string_view source_;
  std::vector<Level> stack_;
};

[[noreturn]] void wrong_type(const char* expected, const Json& found) {
  throw FormatError(concat("expected ", expected, ", found ", found.type_name()));
}

std::string place(std::string_view text, size_t position) {
  position = std::min(position > 0 ? position - 1 : 0, text.size());
  size_t line = 1, column = 1;
  for (size_t i = 0; i < position; ++i) {
    if (text[i] == '\n') {
      ++line;
      column = 1;
    } else {
      ++column;
    }
  }
  return concat("line ", line, ", column ", column);
}

// nlohmann's texts read "[json.exception.parse_error.101] parse error at line 1, column 2: syntax
// error while parsing value - invalid literal; last read: '...'": keep what follows the " - ". What
// was read last may be all of a long string.
std::string short_reason(const std::string& what) {
  const size_t dash = what.find(" - ");
  return one_line(dash == std::string::npos ? what : what.substr(dash + 3), 200);
}

}  // namespace

const char* Json::type_name() const {
  static constexpr const char* kNames[] = {"null",   "boolean", "integer", "integer",
                                           "number", "string",  "array",   "object"};
  return kNames[value_.index()];
}

bool Json::as_bool() const {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  wrong_type("boolean", *this);
}

int64_t Json::as_integer() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  if (const double* value = std::get_if<double>(&value_)) {
    if (std::nearbyint(*value) == *value && std::abs(*value) < 0x1.0p63) {
      return static_cast<int64_t>(*value);
    }
  }
  wrong_type("integer that fits in 64 bits", *this);
}

uint64_t Json::as_unsigned() const {
  if (const uint64_t* value = std::get_if<uint64_t>(&value_)) return *value;
  if (const int64_t value = as_integer(); value >= 0) return static_cast<uint64_t>(value);
  wrong_type("integer that is not negative", *this);
}

double Json::as_number() const {
  if (const double* value = std::get_if<double>(&value_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const uint64_t* value = std::get_if<uint64_t>(&value_)) return static_cast<double>(*value);
  wrong_type("number", *this);
}

const std::string& Json::as_string() const {
  if (const std::string* value = std::get_if<std::string>(&value_)) return *value;
  wrong_type("string", *this);
}

const Json::Array& Json::as_array() const {
  if (const Array* value = std::get_if<Array>(&value_)) return *value;
  wrong_type("array", *this);
}

const Json::Object& Json::as_object() const {
  if (const Object* value = std::get_if<Object>(&value_)) return *value;
  wrong_type("object", *this);
}

Json::Array& Json::as_array() {
  if (Array* value = std::get_if<Array>(&value_)) return *value;
  wrong_type("array", *this);
}

Json::Object& Json::as_object() {
  if (Object* value = std::get_if<Object>(&value_)) return *value;
  wrong_type("object", *this);
}

const Json* Json::find(std::string_view key) const {
  const Object* object = std::get_if<Object>(&value_);
  if (!object) return nullptr;
  for (const Member& member : *object) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  if (const Json* value = find(key)) return *value;
  throw FormatError(concat("missing key \"", key, "\""));
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object{};
  Object& object = as_object();
  for (Member& member : object) {
    if (member.first == key) return member.second;
  }
  return object.emplace_back(std::string(key), Json()).second;
}

Json parse_json(std::string_view text, std::string_view source) {
  // The parser takes a zero byte for the end of the text and would not look at the rest.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw FormatError(concat(source, ": ", place(text, zero + 1), ": not valid JSON (zero byte)"));
  }
  Builder builder(source);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
    return std::move(builder.result);
  if (builder.error_position > 0) {
    throw FormatError(concat(source, ": ", place(text, builder.error_position),
                             ": not valid JSON (", short_reason(builder.error), ")"));
  }
  throw FormatError(concat(source, ": not valid JSON (", builder.error, ")"));
}

std::string read_text_file(const std::string& path, int64_t max_bytes) {
  Descriptor file = Descriptor::open(path, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) refuse_to_read(path, "cannot be read", errno);
  if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {
    throw FormatError(concat(path, ": cannot be read (is it a folder?)"));
  }
  const int64_t size = status.st_size;
  if (size > max_bytes) {
    throw FormatError(concat(path, ": too large (found ", size, " bytes, expected at most ",
                             max_bytes, " bytes)"));
  }
  std::string text(static_cast<size_t>(size), '\0');
  const int64_t got = file.read(text.data(), text.size());
  if (got < 0) refuse_to_read(path, "cannot be read", errno);
  if (got < size) {
    throw IoError(concat(path, ": changed while it was read (found ", got, " bytes, expected ",
                         size, " bytes); try again"));
  }
  return text;
}

Json parse_json_file(const std::string& path) { return parse_json(read_text_file(path), path); }

}  // namespace hadal
