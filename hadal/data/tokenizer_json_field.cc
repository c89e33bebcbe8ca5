#include "hadal/data/tokenizer_json_field.h"

#include <simdjson.h>

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/data/bpe_model.h"

namespace hadal {

namespace dom = simdjson::dom;

TokenizerJsonField::TokenizerJsonField(const dom::element& value, std::string path)
    : value_(std::make_shared<dom::element>(value)), path_(std::move(path)) {}

std::string TokenizerJsonField::shown() const { return in_quotes(simdjson::minify(*value_)); }

void TokenizerJsonField::fail(const std::string& what) const {
  throw FormatError(concat(path_, ": ", what));
}

void TokenizerJsonField::not_supported(const std::string& expected) const {
  fail(concat("not supported (found ", shown(), ", expected ", expected,
              "); hadal reads byte-level BPE tokenizers"));
}

void TokenizerJsonField::wrong_type(const char* expected) const {
  fail(concat("wrong type (found ", shown(), ", expected ", expected,
              "); the file is damaged or not a tokenizer"));
}

TokenizerJsonField TokenizerJsonField::at(std::string_view key) const {
  dom::element found;
  if (object()[key].get(found) != simdjson::SUCCESS) {
    fail(concat("missing field ", one_line(key, 100),
                " (found none, expected one); the file is damaged or not a tokenizer"));
  }
  return {found, path_ + (path_.ends_with(": ") ? "" : ".") + one_line(key, 100)};
}

bool TokenizerJsonField::has(std::string_view key) const {
  dom::element found;
  return object()[key].get(found) == simdjson::SUCCESS && !found.is_null();
}

std::vector<TokenizerJsonField> TokenizerJsonField::items() const {
  std::vector<TokenizerJsonField> out;
  for (const dom::element item : array()) {
    out.emplace_back(item, concat(path_, "[", out.size(), "]"));
  }
  return out;
}

dom::object TokenizerJsonField::object() const {
  dom::object found;
  if (value_->get(found) != simdjson::SUCCESS) wrong_type("an object");
  return found;
}

dom::array TokenizerJsonField::array() const {
  dom::array found;
  if (value_->get(found) != simdjson::SUCCESS) wrong_type("an array");
  return found;
}

std::string_view TokenizerJsonField::string() const {
  std::string_view found;
  if (value_->get(found) != simdjson::SUCCESS) wrong_type("a string");
  return found;
}

bool TokenizerJsonField::boolean() const {
  bool found = false;
  if (value_->get(found) != simdjson::SUCCESS) wrong_type("true or false");
  return found;
}

int32_t TokenizerJsonField::id() const {
  int64_t found = 0;
  if (value_->get(found) != simdjson::SUCCESS) wrong_type("a token id");
  if (found < 0 || found >= BpeModel::kMaxTokens) {
    fail(concat("token id out of range (found ", found, ", expected 0 to ",
                BpeModel::kMaxTokens - 1, "); the file is damaged"));
  }
  return static_cast<int32_t>(found);
}

void TokenizerJsonField::allow_only(std::initializer_list<std::string_view> names) const {
  for (const auto member : object()) {
    if (std::find(names.begin(), names.end(), member.key) != names.end()) continue;
    fail(concat("unknown field ", in_quotes(member.key),
                " (expected only fields that hadal implements); its meaning is not known, so "
                "nothing is guessed"));
  }
}

void TokenizerJsonField::expect(std::string_view key, bool wanted) const {
  if (has(key) && at(key).boolean() != wanted) at(key).not_supported(wanted ? "true" : "false");
}

void TokenizerJsonField::expect_null(std::string_view key) const {
  if (has(key)) at(key).not_supported("null");
}

void TokenizerJsonField::expect_empty(std::string_view key) const {
  if (has(key) && !at(key).string().empty()) at(key).not_supported("null");
}

void TokenizerJsonField::expect_string(std::string_view key, std::string_view wanted) const {
  if (at(key).string() != wanted) at(key).not_supported(in_quotes(wanted));
}

}  // namespace hadal
