// infer/conversation.h: the turns of a chat as a prompt.
//
// With role tokens in the tokenizer the prompt is DeepSeek-V3's format (data/chat_template.h). A
// base model has none: its conversation is one growing text, and the model writes on where it ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/data/chat_template.h"

namespace hadal {

class Conversation {
 public:
  // `tokenizer` outlives the conversation. `system` may be empty.
  Conversation(const Tokenizer& tokenizer, const std::string& system);

  bool has_roles() const { return chat_template_.has_value(); }
  void add_user(const std::string& text);
  void add_answer(const std::string& text);
  void drop_last_user();  // the turn failed: as if it had not been asked
  void reset();           // only the system message stays

  std::vector<int32_t> prompt() const;  // ends where the answer begins
  const std::vector<ChatMessage>& messages() const { return messages_; }

 private:
  const Tokenizer& tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::vector<ChatMessage> messages_;
};

}  // namespace hadal
