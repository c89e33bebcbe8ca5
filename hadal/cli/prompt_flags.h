// cli/prompt_flags.h: what a model is given to go on with: a text, token ids, or messages.
#pragma once

#include <string>

#include "hadal/cli/chat_flags.h"
#include "hadal/infer/text_model.h"

namespace hadal::cli {

struct PromptFlags {
  std::string prompt, prompt_file, prompt_tokens, suffix, messages;
  ChatFlags chat;

  void bind(Flags& flags);
  void check(const Flags& flags) const;  // before a model is loaded
  Conversation::Prompt make(const Flags& flags, const TextModel& model) const;
  bool is_chat() const { return !messages.empty(); }
};

}  // namespace hadal::cli
