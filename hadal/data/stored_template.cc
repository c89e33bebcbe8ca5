#include "hadal/data/stored_template.h"

#include <xxhash.h>

#include <string_view>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

// The text of a "chat_template", or of the default one of a list; a list without one, or anything
// else, is no text that could be DeepSeek-V3's.
std::string default_text(const Json& chat_template) {
  if (chat_template.is_string()) return chat_template.as_string();
  if (!chat_template.is_array()) return "";
  for (const Json& each : chat_template.as_array()) {
    const Json *name = each.find("name"), *text = each.find("template");
    if (name && text && *name == Json("default") && text->is_string()) return text->as_string();
  }
  return "";
}

}  // namespace

uint64_t template_hash(std::string_view text) {
  constexpr const char* kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return XXH3_64bits("", 0);
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  return XXH3_64bits(text.data(), text.size());
}

std::optional<StoredTemplate> find_stored_template(const std::string& folder) {
  const std::string jinja = folder + "/chat_template.jinja";
  if (path_exists(jinja)) return {{jinja, template_hash(read_text_file(jinja))}};
  for (const char* name : {"/tokenizer_config.json", "/chat_template.json"}) {
    const std::string file = folder + name;
    if (!path_exists(file)) continue;
    const Json json = parse_json_file(file);
    const Json* chat_template = json.find("chat_template");
    if (!chat_template || chat_template->is_null()) continue;
    return {{file, template_hash(default_text(*chat_template))}};
  }
  return std::nullopt;
}

std::string prompt_note(const std::string& folder, bool has_roles, uint64_t ours) {
  const std::optional<StoredTemplate> stored = find_stored_template(folder);
  if (stored && has_roles && stored->hash == ours) return "";
  if (stored) {
    return concat(
        stored->file, ": this chat template is not DeepSeek-V3's and is not executed; prompts are ",
        has_roles ? "written in DeepSeek-V3's format, without what it adds, such as <think>"
                  : "plain text, since the tokenizer has no role tokens of DeepSeek-V3's");
  }
  return has_roles
             ? ""
             : "The tokenizer has no role tokens, so this is a base model: it writes on where "
               "your text ends.";
}

}  // namespace hadal
