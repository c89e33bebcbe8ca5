#include "hadal/data/stored_template.h"

#include <xxhash.h>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

// The text of a template in a list of named ones.
const std::string* named_template(const Json& list, std::string_view wanted) {
  for (const Json& each : list.as_array()) {
    const Json *name = each.find("name"), *text = each.find("template");
    if (name && text && *name == Json(wanted) && text->is_string()) return &text->as_string();
  }
  return nullptr;
}

StoredTemplate stored_in(const Json& chat_template, const std::string& file) {
  if (chat_template.is_string())
    return {file, chat_template.as_string(), chat_template.as_string()};
  const std::string* text =
      chat_template.is_array() ? named_template(chat_template, "default") : nullptr;
  if (!text) {
    throw FormatError({.place = file,
                       .field = "chat_template",
                       .problem = "no template",
                       .found = chat_template.is_array() ? "a list without a default one"
                                                         : chat_template.type_name(),
                       .expected = "a text, or a list of {name, template} with the name default",
                       .advice = "correct the file or remove the key"});
  }
  const std::string* with_tools = named_template(chat_template, "tool_use");
  return {file, *text, with_tools ? *with_tools : *text};
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
  if (path_exists(jinja)) {
    const std::string text = read_text_file(jinja);
    return {{jinja, text, text}};
  }
  for (const char* name : {"/tokenizer_config.json", "/chat_template.json"}) {
    const std::string file = folder + name;
    if (!path_exists(file)) continue;
    const Json json = parse_json_file(file);
    const Json* chat_template = json.find("chat_template");
    if (chat_template && !chat_template->is_null()) return stored_in(*chat_template, file);
  }
  return std::nullopt;
}

}  // namespace hadal
