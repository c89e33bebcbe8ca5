// cli/chat_flags.h: how a conversation becomes a prompt, for every command that has one.
#pragma once

#include <string>

#include "hadal/command/command.h"
#include "hadal/infer/conversation.h"

namespace hadal::cli {

struct ChatFlags {
  std::string tools, think;
  bool template_as_published = false;

  void bind(Flags& flags);
  void apply(Conversation& conversation) const;
};

// `word`: on or off. ConfigError for another, and where the template does not ask.
void set_thinking(Conversation& conversation, const std::string& word);

}  // namespace hadal::cli
