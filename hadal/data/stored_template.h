// data/stored_template.h: the chat template that a model's folder brings along.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hadal {

// XXH3-64 of a template's text without the white space around it.
uint64_t template_hash(std::string_view text);
// Of DeepSeek-V3's as published: it leaves a message that calls one tool without its end, and forgets
// where the next such message begins (docs/chat.md).
inline constexpr uint64_t kDeepseekV3Template = 0x6878D9AC13B3EF51;

struct StoredTemplate {
  std::string file;  // that holds it
  std::string text;  // the default one
  std::string
      with_tools;  // the one for conversations with tools; text itself where there is no other
};
// As Hugging Face's transformers choose among the places: chat_template.jinja, then "chat_template"
// of tokenizer_config.json, a text or a list of {name, template} with a "default" and perhaps a
// "tool_use", then chat_template.json. Nothing if there is none; FormatError for something else there.
std::optional<StoredTemplate> find_stored_template(const std::string& folder);

}  // namespace hadal
