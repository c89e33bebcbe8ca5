#include "hadal/cli/chat_flags.h"

#include "hadal/core/error.h"

namespace hadal::cli {

void ChatFlags::bind(Flags& flags) {
  flags.option("tools", tools, "JSON file with the list of tools that the model may call");
  flags.option("think", think, "on or off, for templates that ask; otherwise as they see fit");
  flags.flag("template-as-published", template_as_published,
             "keep the mistakes that DeepSeek-V3's own chat template makes in tool calls");
}

void ChatFlags::apply(Conversation& conversation) const {
  if (!think.empty()) set_thinking(conversation, think);
  if (!tools.empty()) conversation.set_tools(tools_from_json(parse_json_file(tools), tools));
}

void set_thinking(Conversation& conversation, const std::string& word) {
  require(word == "on" || word == "off",
          {.field = "--think", .problem = "wrong value", .found = word, .expected = "on or off"});
  require(conversation.knows_thinking(),
          {.field = "--think",
           .problem = "the model's chat template does not ask whether to think",
           .found = word,
           .expected = "a template with the variable thinking",
           .advice = "leave it out"});
  conversation.set_thinking(word == "on");
}

}  // namespace hadal::cli
