// data/chat_template.h: a conversation as token ids, in DeepSeek-V3's format (docs/formats.md).
//
//   BOS system [ <｜User｜> user <｜Assistant｜> answer EOS ]* <｜User｜> user <｜Assistant｜>
//
// Control tokens are placed as ids; every text is encoded without added tokens, so that a message
// that spells a control token stays text.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hadal/data/tokenizer.h"

namespace hadal {

struct ChatMessage {
  enum class Role { kSystem, kUser, kAssistant };
  Role role = Role::kUser;
  std::string text;
};

class ChatTemplate {
 public:
  // Nothing if the tokenizer lacks the two role tokens, as a base model's may. `tokenizer` outlives
  // the template.
  static std::optional<ChatTemplate> find(const Tokenizer& tokenizer);

  // Several system messages are joined by a blank line, wherever they stand. `answer_next`: ends
  // with the mark behind which the assistant writes.
  std::vector<int32_t> render(std::span<const ChatMessage> messages, bool answer_next) const;

 private:
  explicit ChatTemplate(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  const Tokenizer* tokenizer_;
  int32_t user_ = 0, assistant_ = 0;
};

}  // namespace hadal
