#include "hadal/infer/conversation.h"

namespace hadal {

using Role = ChatMessage::Role;

Conversation::Conversation(const Tokenizer& tokenizer, const std::string& system)
    : tokenizer_(tokenizer), chat_template_(ChatTemplate::find(tokenizer)) {
  if (!system.empty()) messages_.push_back({Role::kSystem, system});
}

void Conversation::add_user(const std::string& text) { messages_.push_back({Role::kUser, text}); }

void Conversation::add_answer(const std::string& text) {
  messages_.push_back({Role::kAssistant, text});
}

void Conversation::drop_last_user() {
  if (!messages_.empty() && messages_.back().role == Role::kUser) messages_.pop_back();
}

void Conversation::reset() {
  std::erase_if(messages_, [](const ChatMessage& m) { return m.role != Role::kSystem; });
}

std::vector<int32_t> Conversation::prompt() const {
  if (chat_template_) return chat_template_->render(messages_, /*answer_next=*/true);
  std::string text;
  for (const ChatMessage& message : messages_) {
    // What was typed ends with Enter; what the model wrote goes on where the next line begins.
    if (!text.empty() && message.role != Role::kAssistant) text += '\n';
    text += message.text;
  }
  std::vector<int32_t> ids = tokenizer_.encode(text, /*added_tokens=*/false);
  if (tokenizer_.add_bos() && tokenizer_.bos_id()) ids.insert(ids.begin(), *tokenizer_.bos_id());
  return ids;
}

}  // namespace hadal
