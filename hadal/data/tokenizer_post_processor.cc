#include "hadal/data/tokenizer_post_processor.h"

#include <simdjson.h>

#include "hadal/core/error.h"

namespace hadal {
namespace {

using Field = TokenizerJsonField;

constexpr const char* kSupported = "one token before the text and none after it";

// Of two texts hadal never makes one, so `pair` is passed over; so are the type ids.
std::optional<int32_t> read_template(const Field& field, const TokenizerDefinition& definition) {
  field.allow_only({"type", "single", "pair", "special_tokens"});
  const Field single = field.at("single");
  std::optional<int32_t> before;
  bool text_seen = false;
  for (const Field& item : single.items()) {
    item.allow_only({"SpecialToken", "Sequence"});
    if (item.object().size() != 1) item.wrong_type("one of SpecialToken and Sequence");
    if (item.has("Sequence")) {
      if (text_seen) single.not_supported(kSupported);
      text_seen = true;
      item.at("Sequence").expect_string("id", "A");
      continue;
    }
    if (text_seen || before) single.not_supported(kSupported);
    const Field token = field.at("special_tokens").at(item.at("SpecialToken").at("id").string());
    const std::vector<Field> ids = token.at("ids").items();
    if (ids.size() != 1) token.at("ids").not_supported("one id");
    before = ids[0].id();
    if (static_cast<size_t>(*before) + 1 >= definition.begin.size() ||
        definition.token(*before).empty()) {
      ids[0].fail(concat("no such token (found ", *before,
                         ", expected the id of a token of this file); the file is damaged"));
    }
  }
  if (!text_seen) single.not_supported(kSupported);
  return before;
}

void read_processor(const Field& field, const TokenizerDefinition& definition,
                    std::optional<int32_t>& before) {
  const std::string_view type = field.at("type").string();
  if (type == "ByteLevel") {
    check_byte_level(field);
  } else if (type == "TemplateProcessing") {
    const auto added = read_template(field, definition);
    if (added && before) field.not_supported("one template that adds a token");
    if (added) before = added;
  } else {
    field.at("type").not_supported("ByteLevel, TemplateProcessing or a Sequence of them");
  }
}

}  // namespace

void check_byte_level(const TokenizerJsonField& field) {
  field.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
}

std::optional<int32_t> read_post_processor(const TokenizerJsonField& root,
                                           const TokenizerDefinition& definition) {
  std::optional<int32_t> before;
  if (!root.has("post_processor")) return before;
  const Field field = root.at("post_processor");
  if (field.at("type").string() == "Sequence") {
    field.allow_only({"type", "processors"});
    for (const Field& item : field.at("processors").items()) {
      read_processor(item, definition, before);
    }
  } else {
    read_processor(field, definition, before);
  }
  return before;
}

}  // namespace hadal
