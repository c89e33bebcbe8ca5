// cli/prompt_flags.h: what a model is given to go on with: a text, token ids, or messages.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "hadal/cli/chat_flags.h"
#include "hadal/infer/text_model.h"

namespace hadal::cli {

struct PromptFlags {
  std::vector<std::string> prompt, prompt_file;
  std::string prompt_tokens, suffix, messages;
  ChatFlags chat;

  void bind(Flags& flags);
  void check(const Flags& flags) const;  // before a model is loaded
  // One, or several of the same kind.
  std::vector<Conversation::Prompt> make(const Flags& flags, const TextModel& model) const;
  size_t n_prompts() const { return std::max<size_t>(1, prompt.size() + prompt_file.size()); }
  bool is_chat() const { return !messages.empty(); }
};

}  // namespace hadal::cli
