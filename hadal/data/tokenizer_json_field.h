// data/tokenizer_json_field.h: one value of a tokenizer.json with the path that leads to it, and the
// checks its readers share. Every failure is a FormatError that names the field.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simdjson::dom {
class array;
class element;
class object;
}  // namespace simdjson::dom

namespace hadal {

// Refers to the parsed document, which lives longer.
class TokenizerJsonField {
 public:
  TokenizerJsonField(const simdjson::dom::element& value, std::string path);

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void not_supported(const std::string& expected) const;
  [[noreturn]] void wrong_type(const char* expected) const;

  TokenizerJsonField at(std::string_view key) const;
  bool has(std::string_view key) const;  // null and absent are the same in these files
  std::vector<TokenizerJsonField> items() const;

  simdjson::dom::object object() const;
  simdjson::dom::array array() const;
  std::string_view string() const;
  bool boolean() const;
  int32_t id() const;
  const std::string& path() const { return path_; }

  void allow_only(std::initializer_list<std::string_view> names) const;
  void expect(std::string_view key, bool wanted) const;  // absent, null or exactly `wanted`
  void expect_null(std::string_view key) const;
  void expect_empty(std::string_view key) const;  // null or ""
  void expect_string(std::string_view key, std::string_view wanted) const;

 private:
  std::string shown() const;  // the value, for an error

  std::shared_ptr<const simdjson::dom::element> value_;  // held apart: its header is a heavy one
  std::string path_;
};

}  // namespace hadal
