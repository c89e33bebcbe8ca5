// data/stored_template.h: the chat template that a model's folder brings along. Templates are not
// executed: prompts are written in DeepSeek-V3's format (data/chat_template.h), or as plain text where
// the tokenizer has no tokens for its roles. Where a folder asks for something else, that is said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hadal {

// XXH3-64 of a template's text without the white space around it.
uint64_t template_hash(std::string_view text);
// Of DeepSeek-V3's. Its relatives differ in a few words, which decide whether the model thinks: only
// the very same text counts.
inline constexpr uint64_t kDeepseekV3Template = 0x6878D9AC13B3EF51;

struct StoredTemplate {
  std::string file;   // that holds it
  uint64_t hash = 0;  // of its text; of "" where that cannot be found in the file
};
// As Hugging Face's transformers choose among the places: chat_template.jinja, then "chat_template"
// of tokenizer_config.json, a text or a list of {name, template} whose "default" counts, then
// chat_template.json. Nothing if there is none.
std::optional<StoredTemplate> find_stored_template(const std::string& folder);

// One line on how a conversation with this model is written, "" where that is as the folder asks.
// `has_roles`: in DeepSeek-V3's format. `ours`: the template that means this format.
std::string prompt_note(const std::string& folder, bool has_roles,
                        uint64_t ours = kDeepseekV3Template);

}  // namespace hadal
